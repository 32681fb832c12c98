// Containers of naru-oci and their cgroups, on either version: limits, devices, freezing, and their end.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Bundles, type Config, openBundles } from "./bundle.ts";
import { unifiedCgroups } from "./rig.ts";

/** Of a container, by its file's name on version 1 and on version 2. */
function limit(bundles: Bundles, id: string, [controller, v1, v2]: readonly [string, string, string]): string {
  const file = unifiedCgroups ? `${bundles.cgroup}/${id}/${v2}` : `${controller}${bundles.cgroup}/${id}/${v1}`;
  return readFileSync(join("/sys/fs/cgroup", file), "utf8").trim();
}

function output(bundles: Bundles, name: string, script: string, change: (config: Config) => void): readonly string[] {
  const { stdout, stderr } = bundles.oci(["run", "--bundle", bundles.bundle(name, script, change), name]);
  return `${stdout}${stderr}`.trimEnd().split("\n");
}

test("limits hold from the first instruction on linux.resources", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle(
    "l",
    "grep Cpus_allowed_list /proc/self/status > /out/cpus; sleep 1000",
    ({ linux }) => {
      linux["resources"] = {
        memory: { limit: 67_108_864, swap: 67_108_864 },
        pids: { limit: 12 },
        cpu: { shares: 512, quota: 20_000, period: 50_000, cpus: "0" },
      };
      if (unifiedCgroups) Object.assign(linux["resources"] as object, { unified: { "memory.high": "33554432" } });
    },
  );
  await bundles.leave(["run", "--detach", "--bundle", bundle, "l"]);
  const files = [
    ["memory", "memory.limit_in_bytes", "memory.max"],
    ["pids", "pids.max", "pids.max"],
    ["cpu", "cpu.shares", "cpu.weight"],
    ["cpu", "cpu.cfs_quota_us", "cpu.max"],
    ["cpuset", "cpuset.cpus", "cpuset.cpus"],
  ] as const;
  const seen = () => (existsSync(path) ? readFileSync(path, "utf8").trim() : "");
  const path = join(bundles.out, "cpus");
  await bundles.until(() => seen() !== "");
  assert.deepEqual(
    [files.map((file) => limit(bundles, "l", file)), seen()],
    [
      unifiedCgroups ? ["67108864", "12", "20", "20000 50000", "0"] : ["67108864", "12", "512", "20000", "0"],
      "Cpus_allowed_list:\t0",
    ],
  );
  if (unifiedCgroups) assert.equal(limit(bundles, "l", ["", "", "memory.high"]), "33554432");
});

test("what the container finds below /sys/fs/cgroup is its own", async () => {
  using bundles = await openBundles();
  const file = unifiedCgroups ? "/sys/fs/cgroup/pids.max" : "/sys/fs/cgroup/pids/pids.max";
  const lines = output(bundles, "s", `cat ${file}; touch ${file} 2>&1 | grep -o Read-only`, ({ linux }) => {
    linux["resources"] = { pids: { limit: 33 } };
  });
  assert.deepEqual(lines, ["33", "Read-only"]);
});

test("devices are those that are allowed linux.resources.devices", async () => {
  using bundles = await openBundles();
  const script = `(exec 3<>/dev/full-one) && echo full; (exec 3<>/dev/kmsg) 2>&1 | grep -o 'not permitted'; echo > /dev/null && echo null`;
  const lines = output(bundles, "d", script, ({ linux }) => {
    linux["devices"] = [
      { path: "/dev/full-one", type: "c", major: 1, minor: 7 },
      { path: "/dev/kmsg", type: "c", major: 1, minor: 11 },
    ];
    linux["resources"] = { devices: [{ allow: false, access: "rwm" }] };
  });
  assert.deepEqual(lines, ["full", "not permitted", "null"]);
});

test("a frozen container does nothing until it goes on, and limits can change meanwhile pause, resume, update", async () => {
  using bundles = await openBundles();
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("p", "sleep 1000"), "p"]);
  const steps = [
    ["pause", "p"],
    ["exec", "p", "id"],
    ["update", "--pids-limit", "77", "p"],
    ["resume", "p"],
  ];
  const outcomes = steps.map((args) => {
    const { exitCode, stderr } = bundles.oci(args);
    return [exitCode, stderr, bundles.status("p")];
  });
  assert.deepEqual(
    [outcomes, limit(bundles, "p", ["pids", "pids.max", "pids.max"])],
    [
      [
        [0, "", "paused"],
        [1, "naru-oci: container p is paused\n", "paused"],
        [0, "", "paused"],
        [0, "", "running"],
      ],
      "77",
    ],
  );
});

test("a frozen container ends like any other kill, delete", async () => {
  using bundles = await openBundles();
  for (const id of ["killed", "deleted"]) {
    await bundles.leave(["run", "--detach", "--bundle", bundles.bundle(id, "sleep 1000"), id]);
    bundles.oci(["pause", id]);
  }
  bundles.oci(["kill", "killed", "KILL"]);
  await bundles.until(() => bundles.status("killed") === "stopped");
  const outcomes = [
    ["delete", "killed"],
    ["delete", "--force", "deleted"],
  ].map((args) => bundles.oci(args));
  const gone = { exitCode: 0, stdout: "", stderr: "" };
  assert.deepEqual(outcomes, [gone, gone]);
});

test("a cgroup that is others' is not taken create", async () => {
  using bundles = await openBundles();
  await bundles.leave(["run", "--detach", "--bundle", bundles.bundle("owner", "sleep 1000"), "owner"]);
  const { pid } = JSON.parse(bundles.oci(["state", "owner"]).stdout) as { pid: number };
  const bundle = bundles.bundle("guest", "true", ({ linux }) => {
    linux["cgroupsPath"] = `${bundles.cgroup}/owner`;
  });
  const { stderr } = bundles.oci(["create", "--bundle", bundle, "guest"]);
  assert.deepEqual(
    [stderr, bundles.status("owner"), bundles.status("guest")],
    [
      `naru-oci: linux.cgroupsPath: cgroup ${bundles.cgroup}/owner is not empty: process ${pid} is in it\n`,
      "running",
      undefined,
    ],
  );
});
