// Where cgroups are found, and what limits become in their files.
import assert from "node:assert/strict";
import { test } from "node:test";
import { weightOfShares } from "./cgroup-limits.ts";
import { type CgroupLayout, type CgroupRequest, detectCgroups, planCgroup, planParent, planUpdate } from "./cgroups.ts";
import { allowedDevices } from "./defaults.ts";

const v1Mountinfo = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;
const v1: CgroupLayout = {
  version: 1,
  mounts: {
    cpu: "/sys/fs/cgroup/cpu,cpuacct",
    cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
    memory: "/sys/fs/cgroup/memory",
    pids: "/sys/fs/cgroup/pids",
  },
};

test("controllers' own trees are version 1, also with an empty unified one beside detectCgroups", () => {
  assert.deepEqual(detectCgroups(v1Mountinfo), v1);
});

test("one tree is version 2, wherever it is mounted detectCgroups", () => {
  const line = "30 23 0:26 / /mnt/with\\040space/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
  assert.deepEqual(detectCgroups(line), { version: 2, mount: "/mnt/with space/cgroup" });
});

test("a machine without cgroups has none detectCgroups", () => {
  assert.equal(detectCgroups("27 1 254:0 / / rw - ext4 /dev/vda rw\n"), undefined);
});

const resources = { cpuShares: 512, cpuQuotaUs: 50_000, memoryBytesMax: 1 << 20, pidsMax: 9 };
const request = { parent: "/naru/n1", path: "pod1/c1", resources, allDevices: true };

test("limits of version 1 planCgroup", () => {
  assert.deepEqual(planCgroup(v1, request), {
    directories: [
      "/sys/fs/cgroup/cpu,cpuacct/naru/n1/pod1/c1",
      "/sys/fs/cgroup/memory/naru/n1/pod1/c1",
      "/sys/fs/cgroup/pids/naru/n1/pod1/c1",
    ],
    writes: [
      { path: "/sys/fs/cgroup/cpu,cpuacct/naru/n1/pod1/c1/cpu.shares", value: "512", optional: false },
      { path: "/sys/fs/cgroup/cpu,cpuacct/naru/n1/pod1/c1/cpu.cfs_quota_us", value: "50000", optional: false },
      { path: "/sys/fs/cgroup/memory/naru/n1/pod1/c1/memory.limit_in_bytes", value: "1048576", optional: false },
      { path: "/sys/fs/cgroup/memory/naru/n1/pod1/c1/memory.memsw.limit_in_bytes", value: "1048576", optional: true },
      { path: "/sys/fs/cgroup/pids/naru/n1/pod1/c1/pids.max", value: "9", optional: false },
    ],
    join: {
      type: "tasks",
      files: [
        "/sys/fs/cgroup/cpu,cpuacct/naru/n1/pod1/c1/tasks",
        "/sys/fs/cgroup/memory/naru/n1/pod1/c1/tasks",
        "/sys/fs/cgroup/pids/naru/n1/pod1/c1/tasks",
      ],
    },
    oom: { path: "/sys/fs/cgroup/memory/naru/n1/pod1/c1/memory.oom_control", key: "oom_kill" },
    deviceFilter: false,
    seen: [
      { name: "cpu,cpuacct", links: ["cpu", "cpuacct"], directory: "/sys/fs/cgroup/cpu,cpuacct/naru/n1/pod1/c1" },
      { name: "memory", links: [], directory: "/sys/fs/cgroup/memory/naru/n1/pod1/c1" },
      { name: "pids", links: [], directory: "/sys/fs/cgroup/pids/naru/n1/pod1/c1" },
    ],
  });
});

test("limits of the cgroup above come first planCgroup, planUpdate", () => {
  const limits = { resources: { memoryBytesMax: 5 }, above: { cpuShares: 2, memoryBytesMax: -1 } };
  const lines = (writes: readonly { readonly path: string; readonly value: string }[]) =>
    writes.map(({ path, value }) => `${path} ${value}`);
  const shown = (layout: CgroupLayout) => {
    const planned = lines(planCgroup(layout, { ...request, ...limits }).writes);
    const spec = { cgroupPath: request.path, resources: limits.resources, resourcesAbove: limits.above };
    const updated = lines(planUpdate(layout, request.parent, spec).writes);
    assert.deepEqual(
      planned.filter((line) => updated.includes(line)),
      updated,
    );
    return updated;
  };
  assert.deepEqual(shown({ version: 1, mounts: { cpu: "/c", memory: "/m" } }), [
    "/c/naru/n1/pod1/cpu.shares 2",
    "/m/naru/n1/pod1/memory.limit_in_bytes -1",
    "/m/naru/n1/pod1/memory.memsw.limit_in_bytes -1",
    "/m/naru/n1/pod1/c1/memory.limit_in_bytes 5",
    "/m/naru/n1/pod1/c1/memory.memsw.limit_in_bytes 5",
  ]);
  assert.deepEqual(shown({ version: 2, mount: "/cg" }), [
    "/cg/naru/n1/pod1/cpu.weight 1",
    "/cg/naru/n1/pod1/memory.max max",
    "/cg/naru/n1/pod1/memory.swap.max max",
    "/cg/naru/n1/pod1/c1/memory.max 5",
    "/cg/naru/n1/pod1/c1/memory.swap.max 0",
  ]);
});

test("pages of each size have a limit of their own planCgroup", () => {
  const hugepages = [{ pageSize: "2MB", bytesMax: 4 << 20 }];
  const paths = (layout: CgroupLayout) =>
    planCgroup(layout, { ...request, resources: { hugepages } })
      .writes.filter(({ path }) => path.includes("hugetlb."))
      .map(({ path, value }) => `${path} ${value}`);
  assert.deepEqual(
    [paths({ version: 1, mounts: { hugetlb: "/h" } }), paths({ version: 2, mount: "/cg" })],
    [["/h/naru/n1/pod1/c1/hugetlb.2MB.limit_in_bytes 4194304"], ["/cg/naru/n1/pod1/c1/hugetlb.2MB.max 4194304"]],
  );
});

test("a tree of devices is shared by all that want the usual ones planCgroup", () => {
  const layout: CgroupLayout = { version: 1, mounts: { pids: "/cg/pids", devices: "/cg/devices" } };
  const plan = (change: Partial<CgroupRequest>) => {
    const { directories, writes, join } = planCgroup(layout, { ...request, resources: {}, ...change });
    return { directories, rules: writes.length, join: join.type === "tasks" ? join.files : [] };
  };
  const own = ["/cg/pids/naru/n1/pod1/c1", "/cg/devices/naru/n1/pod1/c1"];
  const shared = ["/cg/pids/naru/n1/pod1/c1", "/cg/devices/naru/n1/default-devices"];
  const tasks = (directories: readonly string[]) => directories.map((directory) => `${directory}/tasks`);
  const fuse = { path: "/dev/fuse", type: "c", major: 10, minor: 229, mode: 0o666, access: "rw" } as const;
  assert.deepEqual(
    [plan({ allDevices: false }), plan({ allDevices: true }), plan({ allDevices: false, devices: [fuse] })],
    [
      { directories: own.slice(0, 1), rules: 0, join: tasks(shared) },
      { directories: own, rules: 0, join: tasks(own) },
      { directories: own, rules: allowedDevices.length + 2, join: tasks(own) },
    ],
  );
});

test("limits of version 2 planCgroup", () => {
  const plan = planCgroup({ version: 2, mount: "/cg" }, { ...request, allDevices: false });
  const own = plan.writes.filter(({ path }) => path.startsWith("/cg/naru/n1/pod1/c1/"));
  const passed = [...new Set(plan.writes.filter((write) => !own.includes(write)).map(({ path }) => path))];
  assert.deepEqual(
    { own, passed, join: plan.join, deviceFilter: plan.deviceFilter },
    {
      own: [
        { path: "/cg/naru/n1/pod1/c1/cpu.weight", value: "20", optional: false },
        { path: "/cg/naru/n1/pod1/c1/cpu.max", value: "50000 100000", optional: false },
        { path: "/cg/naru/n1/pod1/c1/memory.max", value: "1048576", optional: false },
        { path: "/cg/naru/n1/pod1/c1/memory.swap.max", value: "0", optional: true },
        { path: "/cg/naru/n1/pod1/c1/pids.max", value: "9", optional: false },
        { path: "/cg/naru/n1/pod1/c1/memory.oom.group", value: "1", optional: true },
      ],
      passed: [
        "/cg/cgroup.subtree_control",
        "/cg/naru/cgroup.subtree_control",
        "/cg/naru/n1/cgroup.subtree_control",
        "/cg/naru/n1/pod1/cgroup.subtree_control",
      ],
      join: { type: "into", directory: "/cg/naru/n1/pod1/c1" },
      deviceFilter: true,
    },
  );
});

test("shares keep their order as weights weightOfShares", () => {
  assert.deepEqual([0, 2, 1024, 262_144, 1e9].map(weightOfShares), [1, 1, 39, 10_000, 10_000]);
});

test("a node's containers have limits together planParent", () => {
  const limits = { cpuShares: 2048, memoryBytesMax: 2 ** 30, pidsMax: 1000 };
  const valuesOf = (layout: Parameters<typeof planParent>[0]) => {
    const { passOn, writes } = planParent(layout, "/naru/n1", limits);
    return [...passOn, ...writes].map(({ path, value }) => `${path} ${value}`);
  };
  assert.deepEqual(
    [
      valuesOf({ version: 1, mounts: { cpu: "/cg/cpu", memory: "/cg/memory", pids: "/cg/pids" } }),
      valuesOf({ version: 2, mount: "/cg" }),
    ],
    [
      [
        "/cg/cpu/naru/n1/cpu.shares 2048",
        `/cg/memory/naru/n1/memory.limit_in_bytes ${2 ** 30}`,
        `/cg/memory/naru/n1/memory.memsw.limit_in_bytes ${2 ** 30}`,
        "/cg/pids/naru/n1/pids.max 1000",
      ],
      [
        ...["", "naru/"].flatMap((above) =>
          ["cpu", "memory", "pids", "hugetlb"].map((name) => `/cg/${above}cgroup.subtree_control +${name}`),
        ),
        "/cg/naru/n1/cpu.weight 79",
        `/cg/naru/n1/memory.max ${2 ** 30}`,
        "/cg/naru/n1/memory.swap.max 0",
        "/cg/naru/n1/pids.max 1000",
      ],
    ],
  );
});
