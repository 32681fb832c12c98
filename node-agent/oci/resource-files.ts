// Limits of config.json that pods do not have, as the files of cgroups that they are. Pure.
// Source: OCI runtime specification, config-linux.md; Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel.
import type { Fields } from "./fields.ts";

interface FileValue {
  /** Its controller's name comes first. */
  readonly name: string;
  readonly value: string;
  /** Kernels may be built without it. */
  readonly optional?: boolean;
}

export interface ResourceFile {
  /** Its path in config.json. */
  readonly field: string;
  readonly v1: readonly FileValue[];
  /** Undefined: there is nothing like it. */
  readonly v2: readonly FileValue[] | undefined;
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

const throttles = [
  ["throttleReadBpsDevice", "read_bps_device", "rbps"],
  ["throttleWriteBpsDevice", "write_bps_device", "wbps"],
  ["throttleReadIOPSDevice", "read_iops_device", "riops"],
  ["throttleWriteIOPSDevice", "write_iops_device", "wiops"],
] as const;

function blockFiles(block: Fields): readonly ResourceFile[] {
  if ((block.whole("leafWeight") ?? 0) !== 0) block.refuse("leafWeight", "the kernel has no such weight any more");
  const weight = block.whole("weight") ?? 0;
  const numberOf = (device: Fields) => `${device.whole("major") ?? 0}:${device.whole("minor") ?? 0}`;
  return [
    ...(weight === 0 ? [] : [weightFile(block, "weight", String(weight), "weight")]),
    ...block.objects("weightDevice", (device) => {
      if ((device.whole("leafWeight") ?? 0) !== 0)
        device.refuse("leafWeight", "the kernel has no such weight any more");
      return weightFile(device, "weight", `${numberOf(device)} ${device.whole("weight") ?? 0}`, "weight_device");
    }),
    ...throttles.flatMap(([field, v1, word]) =>
      block.objects(field, (device): ResourceFile => {
        const rate = device.whole("rate") ?? 0;
        return {
          field: device.pathOf("rate"),
          v1: [{ name: `blkio.throttle.${v1}`, value: `${numberOf(device)} ${rate}` }],
          v2: [{ name: "io.max", value: `${numberOf(device)} ${word}=${rate === 0 ? "max" : rate}` }],
        };
      }),
    ),
  ];
}

/** Only the BFQ scheduler has weights, and on version 2 the kernel's own cost model. */
function weightFile(fields: Fields, field: string, value: string, v1: "weight" | "weight_device"): ResourceFile {
  const optional = true;
  return {
    field: fields.pathOf(field),
    v1: [{ name: `blkio.bfq.${v1}`, value, optional }],
    v2: [
      { name: "io.bfq.weight", value, optional },
      { name: "io.weight", value: value.replace(/\d+$/, (weight) => String(ioWeight(Number(weight)))), optional },
    ],
  };
}

/** 10 to 1000 on a scale from 1 to 10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((Math.min(1000, Math.max(10, weight)) - 10) * 9999) / 990);
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
