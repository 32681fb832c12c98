// A launch plan, whole, as a golden file: `REWRITE=1` writes it anew.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { planCgroup } from "./cgroups.ts";
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "./defaults.ts";
import { type LaunchOp, planExec, planLaunch } from "./plan.ts";
import type { ContainerSpec } from "./runtime.ts";

const spec: ContainerSpec = {
  id: "web-0",
  labels: {},
  args: ["/bin/web", "--port", "80"],
  env: ["PATH=/bin", "A=1"],
  cwd: "/srv",
  user: { uid: 1000, gid: 1000, additionalGids: [5] },
  terminal: false,
  stdin: false,
  hostname: "unused",
  rootfs: {
    destination: "/",
    type: "overlay",
    source: "overlay",
    options: ["lowerdir=/l1:/l2", "upperdir=/u", "workdir=/w", "volatile"],
  },
  readonlyRootfs: true,
  mounts: [
    { destination: "/data/deep", type: "bind", source: "/volumes/a", options: ["rbind", "ro", "nosuid"] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["size=1m"] },
    { destination: "/sub", type: "bind", source: "/volumes/a", subPath: "x/y", options: ["bind", "rro"] },
    { destination: "/host", type: "bind", source: "/mnt", options: ["rbind", "rslave"] },
    { destination: "/proc/meminfo", type: "bind", source: "/lxcfs/meminfo", options: ["bind"] },
  ],
  namespaces: [
    { type: "pid" },
    { type: "mount" },
    { type: "cgroup" },
    { type: "network", path: "/run/s/net" },
    { type: "uts", path: "/run/s/uts" },
  ],
  cgroupPath: "pod1/web-0",
  resources: { memoryBytesMax: 1 << 20, oomScoreAdj: 500 },
  capabilities: defaultCapabilities,
  noNewPrivileges: true,
  privileged: false,
  seccomp: "default",
  maskedPaths: defaultMaskedPaths.slice(0, 2),
  readonlyPaths: defaultReadonlyPaths.slice(0, 1),
  sysctls: { "net.core.somaxconn": "1024" },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: -1 }],
  logPath: "/logs/web.log",
};
const layout = { version: 1, mounts: { memory: "/cg/memory", pids: "/cg/pids" } } as const;
const context = {
  rootfsPath: "/state/web-0/rootfs",
  cgroup: planCgroup(layout, { parent: "/naru", path: spec.cgroupPath, resources: spec.resources, allDevices: false }),
  deviceFilter: undefined,
  seccompFilter: Buffer.from("filter"),
  logFileBytesMax: 1000,
  logFilesMax: 2,
  hostDevices: [],
};

function golden(name: string, ops: readonly LaunchOp[]): void {
  const path = new URL(`testdata/${name}`, import.meta.url);
  const text = `${ops.map((op) => op.map(String).join(" ")).join("\n")}\n`;
  if (process.env["REWRITE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

test("every step of a container in a sandbox planLaunch", () => {
  golden("launch.txt", planLaunch(spec, context));
});

test("every step of a container with users of its own planLaunch", () => {
  const idMapping = { hostId: 131_072, size: 65_536 };
  const namespaces = [...spec.namespaces, { type: "user", path: "/run/s/user" } as const];
  const mounts = [{ destination: "/data", type: "bind", source: "/volumes/a", options: ["rbind", "ridmap"] }];
  golden("users.txt", planLaunch({ ...spec, idMapping, namespaces, mounts, terminal: true }, context));
  const request = { args: ["sh"], terminal: false, stdin: false };
  const exec = planExec({ ...spec, idMapping, namespaces }, { pid: 12, startTicks: "345" }, request, context);
  assert.deepEqual(
    exec.filter(([name]) => name === "enter" || name === "own-stdio"),
    [
      ["enter", "pid"],
      ["enter", "mount network uts cgroup"],
      ["own-stdio", 132_072],
      ["enter", "user"],
    ],
  );
});

test("every step of another process in it planExec", () => {
  const request = { args: ["sh"], env: ["A=2"], terminal: true, stdin: true };
  golden("exec.txt", planExec(spec, { pid: 12, startTicks: "345" }, request, context));
});

test("settings of the node are refused planLaunch", () => {
  const plan = (change: Partial<ContainerSpec>) => () => planLaunch({ ...spec, ...change }, context);
  assert.throws(plan({ sysctls: { "kernel.shmmax": "1" } }), /needs a ipc namespace, the container uses the node's/);
  assert.throws(plan({ sysctls: { "net/../kernel/panic": "1" } }), /not a setting of a container's namespaces/);
  assert.throws(plan({ namespaces: [{ type: "user" }], sysctls: {} }), /user namespace: it is joined by its path/);
  const mounted = (change: object) =>
    plan({ mounts: [{ destination: "/x", type: "bind", source: "/y", options: [], ...change }] });
  assert.throws(mounted({ type: "tmpfs", subPath: "a" }), /mount \/x: only a bind mount can have a subPath/);
  assert.throws(mounted({ destination: "//proc/./self" }), /nothing may be mounted inside of \/proc/);
});
