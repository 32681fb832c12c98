// What linux.resources become in files of both versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CgroupLayout } from "../runtime/cgroups.ts";
import { controllersOf, planOciCgroup } from "./cgroup.ts";
import { Fields } from "./fields.ts";
import { parseResources } from "./resource-config.ts";

const controllers = [
  ...["cpu", "cpuset", "memory", "pids", "devices", "freezer", "blkio"],
  ...["hugetlb", "net_cls", "net_prio", "rdma"],
];
const v1: CgroupLayout = {
  version: 1,
  mounts: Object.fromEntries(controllers.map((controller) => [controller, `/${controller}`])),
};
const v2: CgroupLayout = { version: 2, mount: "" };

const disk = { major: 8, minor: 0 };
/** Of all fields; those that one version alone has are apart. */
const common = {
  cpu: { shares: 1024, quota: 50_000, period: 100_000, burst: 1000, idle: 1, cpus: "0-1", mems: "0" },
  memory: { limit: 1000, swap: 3000, reservation: 500, kernel: 7, kernelTCP: 8 },
  pids: { limit: -1 },
  hugepageLimits: [{ pageSize: "2MB", limit: 4096 }],
  blockIO: {
    weight: 1000,
    weightDevice: [{ ...disk, weight: 10 }],
    throttleReadBpsDevice: [{ ...disk, rate: 1 }],
    throttleWriteBpsDevice: [{ ...disk, rate: 2 }],
    throttleReadIOPSDevice: [{ ...disk, rate: 3 }],
    throttleWriteIOPSDevice: [{ ...disk, rate: 0 }],
  },
  rdma: { mlx5_1: { hcaHandles: 3 } },
};
const old = {
  cpu: { realtimePeriod: 1000, realtimeRuntime: 900 },
  memory: { swappiness: 10, disableOOMKiller: true },
  network: { classID: 17, priorities: [{ name: "eth0", priority: 5 }] },
};

function written(layout: CgroupLayout, value: object): readonly string[] {
  const { writes } = planOciCgroup(layout, "/c", parseResources(new Fields(value, "linux.resources"))).cgroup;
  return writes.map(({ path, value: text, optional }) => `${path.replace("/c/", "/")}${optional ? "?" : ""} ${text}`);
}

test("every limit has its file on version 1 planOciCgroup", () => {
  assert.deepEqual(
    [...written(v1, common), ...written(v1, old)].filter((line) => !line.startsWith("/devices/")),
    [
      "/cpu/cpu.shares 1024",
      "/cpu/cpu.cfs_period_us 100000",
      "/cpu/cpu.cfs_quota_us 50000",
      "/memory/memory.limit_in_bytes 1000",
      "/memory/memory.memsw.limit_in_bytes? 3000",
      "/memory/memory.soft_limit_in_bytes? 500",
      "/pids/pids.max max",
      "/cpu/cpu.cfs_burst_us 1000",
      "/cpu/cpu.idle 1",
      "/cpuset/cpuset.cpus 0-1",
      "/cpuset/cpuset.mems 0",
      "/memory/memory.kmem.limit_in_bytes? 7",
      "/memory/memory.kmem.tcp.limit_in_bytes? 8",
      "/blkio/blkio.bfq.weight? 1000",
      "/blkio/blkio.bfq.weight_device? 8:0 10",
      "/blkio/blkio.throttle.read_bps_device 8:0 1",
      "/blkio/blkio.throttle.write_bps_device 8:0 2",
      "/blkio/blkio.throttle.read_iops_device 8:0 3",
      "/blkio/blkio.throttle.write_iops_device 8:0 0",
      "/hugetlb/hugetlb.2MB.limit_in_bytes 4096",
      "/hugetlb/hugetlb.2MB.rsvd.limit_in_bytes? 4096",
      "/rdma/rdma.max mlx5_1 hca_handle=3 hca_object=max",
      "/cpu/cpu.rt_period_us 1000",
      "/cpu/cpu.rt_runtime_us 900",
      "/memory/memory.swappiness 10",
      "/memory/memory.oom_control 1",
      "/net_cls/net_cls.classid 17",
      "/net_prio/net_prio.ifpriomap eth0 5",
    ],
  );
});

test("every limit has its file on version 2, where the controllers are passed on planOciCgroup", () => {
  const lines = written(v2, { ...common, unified: { "memory.high": "900" } });
  const control = "/cgroup.subtree_control? +";
  assert.deepEqual(
    [
      new Set(lines.filter((line) => line.startsWith(control)).map((line) => line.slice(control.length))),
      lines.filter((line) => !line.startsWith(control)),
    ],
    [
      new Set(["cpu", "cpuset", "io", "hugetlb", "rdma", "memory", "pids"]),
      [
        "/cpu.weight 39",
        "/cpu.max 50000 100000",
        "/memory.max 1000",
        "/memory.swap.max? 2000",
        "/memory.low? 500",
        "/pids.max max",
        "/memory.oom.group? 1",
        "/cpu.max.burst 1000",
        "/cpu.idle 1",
        "/cpuset.cpus 0-1",
        "/cpuset.mems 0",
        "/io.bfq.weight? 1000",
        "/io.weight? 10000",
        "/io.bfq.weight? 8:0 10",
        "/io.weight? 8:0 1",
        "/io.max 8:0 rbps=1",
        "/io.max 8:0 wbps=2",
        "/io.max 8:0 riops=3",
        "/io.max 8:0 wiops=max",
        "/hugetlb.2MB.max 4096",
        "/hugetlb.2MB.rsvd.max? 4096",
        "/rdma.max mlx5_1 hca_handle=3 hca_object=max",
        "/memory.high 900",
      ],
    ],
  );
});

test("what a machine cannot limit is refused by name planOciCgroup", () => {
  const bare: CgroupLayout = { version: 1, mounts: { freezer: "/freezer" } };
  const refusals: readonly (readonly [CgroupLayout, object])[] = [
    [v1, { unified: { "memory.high": "1" } }],
    [v2, { unified: { "../x": "1" } }],
    [v2, { unified: { "cgroup.procs": "1" } }],
    [v2, { memory: { swappiness: 1 } }],
    [v2, { network: { classID: 1 } }],
    [bare, { memory: { limit: 1 } }],
    [bare, { pids: { limit: 1 } }],
    [bare, { rdma: { a: {} } }],
    [v1, { hugepageLimits: [{ pageSize: "../x", limit: 1 }] }],
    [v1, { blockIO: { leafWeight: 1 } }],
  ];
  const messages = refusals.map(([layout, value]) => {
    try {
      return written(layout, value);
    } catch (error) {
      return (error as Error).message;
    }
  });
  assert.deepEqual(messages, [
    "linux.resources.unified.memory.high: this machine has cgroup version 1, and that is for version 2",
    "linux.resources.unified.../x: not a file of a controller",
    "linux.resources.unified.cgroup.procs: not a file of a controller",
    "linux.resources.memory.swappiness: cgroup version 2, which this machine has, knows no such thing",
    "linux.resources.network.classID: cgroup version 2, which this machine has, knows no such thing",
    "linux.resources: this machine has no memory cgroups",
    "linux.resources: this machine has no pids cgroups",
    "linux.resources.rdma.a: this machine has no rdma cgroups",
    'linux.resources.hugepageLimits[0].pageSize: "../x", a size such as 2MB is expected',
    "linux.resources.blockIO.leafWeight: the kernel has no such weight any more",
  ]);
});

test("trees that only some containers need are joined by those controllersOf", () => {
  const resources = parseResources(new Fields({ cpu: { cpus: "0" }, rdma: { a: {} } }, "linux.resources"));
  assert.deepEqual(controllersOf(resources).slice(-2), ["cpuset", "rdma"]);
});
