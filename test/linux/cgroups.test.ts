// Limits as a container finds them where programs look, and as the kernel holds them. Needs root; cgroup v1 or v2.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readMountinfo } from "../../node-agent/runtime/cgroup-files.ts";
import { detectCgroups } from "../../node-agent/runtime/cgroups.ts";
import { look } from "./look.ts";
import { openRig, readCgroup } from "./rig.ts";

const layout = detectCgroups(readMountinfo());
const v1 = layout?.version === 1;
const [memoryFile, pidsFile] = v1 ? ["memory/memory.limit_in_bytes", "pids/pids.max"] : ["memory.max", "pids.max"];
const resources = { memoryBytesMax: 32 << 20, pidsMax: 7 };

test("a container finds its own limits below /sys/fs/cgroup and cannot change them start", async () => {
  await using rig = await openRig();
  const place = (name: string) => `/sys/fs/cgroup/${name}`;
  const words = [place(memoryFile), place(pidsFile)].flatMap((path) => ["read", path, "write", path]);
  const seen = await look(rig, [...words, "mkdir", place("own"), "mkdir", place(v1 ? "memory/own" : "own2")], {
    resources,
  });
  const no = "Read-only file system";
  assert.deepEqual(seen, [
    `read ${place(memoryFile)}: ${32 << 20}`,
    `write ${place(memoryFile)}: ${no}`,
    `read ${place(pidsFile)}: 7`,
    `write ${place(pidsFile)}: ${no}`,
    `mkdir ${place("own")}: ${no}`,
    `mkdir ${place(v1 ? "memory/own" : "own2")}: ${no}`,
  ]);
});

test("a privileged container may make cgroups of its own start", async () => {
  await using rig = await openRig();
  const path = v1 ? "/sys/fs/cgroup/memory/own" : "/sys/fs/cgroup/own";
  assert.deepEqual(await look(rig, ["mkdir", path], { privileged: true }), [`mkdir ${path}: allowed`]);
});

test("the cgroup above holds what containers share, before and after a change create, update", async () => {
  await using rig = await openRig();
  const file = (path: string) => {
    const mount = layout?.version === 1 ? (layout.mounts["memory"] ?? "") : (layout?.mount ?? "");
    return readFileSync(
      join(mount, rig.options.cgroupParent, path, v1 ? "memory.limit_in_bytes" : "memory.max"),
      "utf8",
    );
  };
  const both = () => [file("pod-a/a"), file("pod-a")].map((text) => Number(text) >> 20);
  const limits = (own: number, above: number) =>
    [{ memoryBytesMax: own << 20 }, { memoryBytesMax: above << 20 }] as const;
  const [first, firstAbove] = limits(32, 64);
  await rig.runtime.create(rig.spec("a", ["sleep"], { resources: first, resourcesAbove: firstAbove }));
  await rig.runtime.start("a");
  const seen = [both()];
  for (const [own, above] of [limits(128, 128), limits(16, 24)]) {
    await rig.runtime.update("a", own, above);
    seen.push(both());
  }
  assert.deepEqual(seen, [
    [32, 64],
    [128, 128],
    [16, 24],
  ]);
});

test("a container that comes later brings new limits of the cgroup above, larger or smaller create, start", async () => {
  await using rig = await openRig();
  const above = () => Number(readCgroup(rig, "pod-a", ["memory", "memory.limit_in_bytes", "memory.max"])) >> 20;
  const seen: number[] = [];
  for (const [id, mebibytes] of [["a", 32] as const, ["b", 64] as const, ["c", 48] as const]) {
    const memoryBytesMax = mebibytes << 20;
    const cgroupPath = `pod-a/${id}`;
    await rig.runtime.create(rig.spec(id, ["sleep"], { cgroupPath, resourcesAbove: { memoryBytesMax } }));
    await rig.runtime.start(id);
    seen.push(above());
  }
  assert.deepEqual(seen, [32, 64, 48]);
});

test("a group weighs what it was given, and stays when the last container in it goes limitGroup, remove", async () => {
  await using rig = await openRig();
  const weight = (path: string) => readCgroup(rig, path, ["cpu", "cpu.shares", "cpu.weight"]);
  const groups = () => ["burstable", "besteffort"].map(weight);
  const weigh = (burstable: number) => {
    rig.runtime.limitGroup("burstable", { cpuShares: burstable });
    rig.runtime.limitGroup("besteffort", { cpuShares: 2 });
  };
  weigh(512);
  const spec = rig.spec("a", ["sleep"], { cgroupPath: "burstable/pod-a/a", resources: { cpuShares: 512 } });
  await rig.runtime.create(spec);
  await rig.runtime.start("a");
  const seen = [[...groups(), weight("burstable/pod-a/a")]];
  weigh(1024);
  seen.push(groups());
  await rig.runtime.remove("a");
  seen.push(groups());
  assert.throws(() => weight("burstable/pod-a"), /ENOENT/);
  assert.deepEqual(
    seen,
    v1
      ? [
          ["512", "2", "512"],
          ["1024", "2"],
          ["1024", "2"],
        ]
      : [
          ["20", "1", "20"],
          ["39", "1"],
          ["39", "1"],
        ],
  );
});

const reservedPages = Number(readFileSync("/proc/sys/vm/nr_hugepages", "utf8"));

test("a container gets as many huge pages as it may, and no more start", {
  skip: reservedPages < 4 && "no huge pages are reserved",
}, async () => {
  await using rig = await openRig();
  const ends: number[] = [];
  for (const count of [2, 3]) {
    const hugepages = [{ pageSize: "2MB", bytesMax: 2 * 2 ** 21 }];
    const id = `huge-${count}`;
    await rig.runtime.create(rig.spec(id, ["huge-pages", String(count)], { resources: { hugepages } }));
    await rig.runtime.start(id);
    ends.push((await rig.runtime.wait(id)).exitCode);
  }
  // The kernel ends who touches a page that it may not have: SIGBUS.
  assert.deepEqual(ends, [0, 128 + 7]);
});
