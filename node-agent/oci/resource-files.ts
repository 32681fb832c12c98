// Limits of config.json that pods do not have, as the files of cgroups that they are. Pure.
// Source: OCI runtime specification, config-linux.md; Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel.
import { blockThrottle, blockWeight, type ThrottleKind } from "../runtime/block-limits.ts";
import type { CgroupFile } from "../runtime/runtime.ts";
import type { Fields } from "./fields.ts";

export interface ResourceFile {
  /** Its path in config.json. */
  readonly field: string;
  readonly v1: readonly CgroupFile[];
  /** Undefined: there is nothing like it. */
  readonly v2: readonly CgroupFile[] | undefined;
}

export function parseResourceFiles(resources: Fields | undefined): readonly ResourceFile[] {
  return [
    ...parse(resources?.object("cpu"), cpuFiles),
    ...parse(resources?.object("memory"), memoryFiles),
    ...parse(resources?.object("blockIO"), blockFiles),
    ...parse(resources?.object("network"), networkFiles),
    ...hugepageFiles(resources),
    ...rdmaFiles(resources?.object("rdma")),
  ];
}

function parse(
  fields: Fields | undefined,
  files: (fields: Fields) => readonly ResourceFile[],
): readonly ResourceFile[] {
  return fields === undefined ? [] : files(fields);
}

function cpuFiles(cpu: Fields): readonly ResourceFile[] {
  const number = (field: string, v1: string, v2: string | undefined) => {
    const value = cpu.whole(field) ?? 0;
    return value === 0 ? [] : [file(cpu, field, String(value), v1, v2)];
  };
  const list = (field: string, name: string) => {
    const value = cpu.text(field) ?? "";
    return value === "" ? [] : [file(cpu, field, value, name, name)];
  };
  return [
    // The runtime has to fit into the period.
    ...number("realtimePeriod", "cpu.rt_period_us", undefined),
    ...number("realtimeRuntime", "cpu.rt_runtime_us", undefined),
    ...number("burst", "cpu.cfs_burst_us", "cpu.max.burst"),
    ...number("idle", "cpu.idle", "cpu.idle"),
    ...list("cpus", "cpuset.cpus"),
    ...list("mems", "cpuset.mems"),
  ];
}

function memoryFiles(memory: Fields): readonly ResourceFile[] {
  const swappiness = memory.whole("swappiness");
  const kernel = (field: string, name: string): readonly ResourceFile[] => {
    const value = memory.whole(field) ?? 0;
    // Newer kernels count this as memory like any other, and have no limit of its own.
    return value <= 0
      ? []
      : [{ field: memory.pathOf(field), v1: [{ name, value: String(value), optional: true }], v2: [] }];
  };
  return [
    ...kernel("kernel", "memory.kmem.limit_in_bytes"),
    ...kernel("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
    ...(swappiness === undefined
      ? []
      : [file(memory, "swappiness", String(swappiness), "memory.swappiness", undefined)]),
    ...(memory.flag("disableOOMKiller")
      ? [file(memory, "disableOOMKiller", "1", "memory.oom_control", undefined)]
      : []),
  ];
}

const throttles: readonly (readonly [field: string, kind: ThrottleKind])[] = [
  ["throttleReadBpsDevice", "read_bps"],
  ["throttleWriteBpsDevice", "write_bps"],
  ["throttleReadIOPSDevice", "read_iops"],
  ["throttleWriteIOPSDevice", "write_iops"],
];

function blockFiles(block: Fields): readonly ResourceFile[] {
  const noLeaf = (fields: Fields) => {
    if ((fields.whole("leafWeight") ?? 0) !== 0) fields.refuse("leafWeight", "the kernel has no such weight any more");
  };
  noLeaf(block);
  const weight = block.whole("weight") ?? 0;
  const numbers = (device: Fields) => ({ major: device.whole("major") ?? 0, minor: device.whole("minor") ?? 0 });
  return [
    ...(weight === 0 ? [] : [{ field: block.pathOf("weight"), ...blockWeight(weight) }]),
    ...block.objects("weightDevice", (device): ResourceFile => {
      noLeaf(device);
      return { field: device.pathOf("weight"), ...blockWeight(device.whole("weight") ?? 0, numbers(device)) };
    }),
    ...throttles.flatMap(([field, kind]) =>
      block.objects(field, (device): ResourceFile => {
        return { field: device.pathOf("rate"), ...blockThrottle(kind, numbers(device), device.whole("rate") ?? 0) };
      }),
    ),
  ];
}

function networkFiles(network: Fields): readonly ResourceFile[] {
  const classId = network.whole("classID");
  return [
    ...(classId === undefined || classId === 0
      ? []
      : [file(network, "classID", String(classId), "net_cls.classid", undefined)]),
    ...network.objects("priorities", (entry) => {
      const name = word(entry, "name", /^[^\s/]{1,15}$/, "an interface's name");
      return file(entry, "priority", `${name} ${entry.whole("priority") ?? 0}`, "net_prio.ifpriomap", undefined);
    }),
  ];
}

function hugepageFiles(resources: Fields | undefined): readonly ResourceFile[] {
  const files = resources?.objects("hugepageLimits", (limit): readonly ResourceFile[] => {
    const size = word(limit, "pageSize", /^[1-9]\d*[KMGT]B$/, "a size such as 2MB");
    const value = String(limit.whole("limit") ?? 0);
    const reserved = (name: string) => ({ name, value, optional: true });
    return [
      {
        field: limit.pathOf("limit"),
        v1: [{ name: `hugetlb.${size}.limit_in_bytes`, value }, reserved(`hugetlb.${size}.rsvd.limit_in_bytes`)],
        v2: [{ name: `hugetlb.${size}.max`, value }, reserved(`hugetlb.${size}.rsvd.max`)],
      },
    ];
  });
  return (files ?? []).flat();
}

function rdmaFiles(rdma: Fields | undefined): readonly ResourceFile[] {
  return (rdma?.names() ?? []).map((device) => {
    const limits = rdma?.object(device);
    const count = (field: string) => limits?.whole(field) ?? "max";
    const value = `${device} hca_handle=${count("hcaHandles")} hca_object=${count("hcaObjects")}`;
    const files = [{ name: "rdma.max", value }];
    return { field: rdma?.pathOf(device) ?? "rdma", v1: files, v2: files };
  });
}

/** The same value in both versions. */
function file(fields: Fields, field: string, value: string, v1: string, v2: string | undefined): ResourceFile {
  return {
    field: fields.pathOf(field),
    v1: [{ name: v1, value }],
    v2: v2 === undefined ? undefined : [{ name: v2, value }],
  };
}

/** It becomes a part of a file's name or content. */
function word(fields: Fields, field: string, pattern: RegExp, expected: string): string {
  const value = fields.text(field) ?? "";
  if (!pattern.test(value)) throw fields.wrong(field, `${JSON.stringify(value)}, ${expected} is expected`);
  return value;
}
