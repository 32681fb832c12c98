// Limits of config.json. Source: OCI runtime specification 1.2, config-linux.md, Control groups.
import type { Resources } from "../runtime/runtime.ts";
import type { Fields } from "./fields.ts";

/** A device of the allow list; absent numbers are all. */
export interface DevicePermission {
  readonly allow: boolean;
  readonly type: "a" | "b" | "c";
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface ResourceConfig {
  readonly limits: Resources;
  /** Files of version 1, by controller; those of version 2 are in `unified`. */
  readonly files: readonly { readonly controller: string; readonly name: string; readonly value: string }[];
  readonly unified: Readonly<Record<string, string>>;
  readonly devices: readonly DevicePermission[];
}

export function parseResources(resources: Fields | undefined): ResourceConfig {
  for (const name of ["network", "rdma"]) resources?.refuse(name);
  const memory = resources?.object("memory");
  const cpu = resources?.object("cpu");
  for (const name of ["kernel", "kernelTCP", "useHierarchy", "checkBeforeUpdate"]) {
    // Old tools write -1 or 0 for "nothing is said"; useHierarchy and the check hold anyway.
    const value = memory?.value(name);
    if (typeof value === "number" && value > 0) memory?.refuse(name);
  }
  for (const name of ["realtimeRuntime", "realtimePeriod"]) if ((cpu?.whole(name) ?? 0) !== 0) cpu?.refuse(name);
  return {
    limits: parseLimits(resources, memory, cpu),
    files: [...cpuFiles(cpu), ...memoryFiles(memory), ...blockFiles(resources?.object("blockIO"))],
    unified: resources?.map("unified") ?? {},
    devices: resources?.objects("devices", parseDevice) ?? [],
  };
}

function parseLimits(resources: Fields | undefined, memory: Fields | undefined, cpu: Fields | undefined): Resources {
  const pids = resources?.object("pids")?.whole("limit");
  const hugepages = resources?.objects("hugepageLimits", (limit) => ({
    pageSize: limit.text("pageSize") ?? "",
    bytesMax: limit.whole("limit") ?? 0,
  }));
  const given = {
    cpuShares: said(cpu?.whole("shares")),
    cpuQuotaUs: said(cpu?.whole("quota")),
    cpuPeriodUs: said(cpu?.whole("period")),
    memoryBytesMax: said(memory?.whole("limit")),
    memorySwapBytesMax: said(memory?.whole("swap")),
    memoryReservationBytes: said(memory?.whole("reservation")),
    pidsMax: pids === undefined || pids <= 0 ? undefined : pids,
    hugepages,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** 0 stands for nothing said. */
function said(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function cpuFiles(cpu: Fields | undefined): ResourceConfig["files"] {
  const [cpus, mems] = [cpu?.text("cpus") ?? "", cpu?.text("mems") ?? ""];
  if (cpus === "" && mems === "") return [];
  return [
    { controller: "cpuset", name: "cpuset.cpus", value: cpus },
    { controller: "cpuset", name: "cpuset.mems", value: mems },
  ];
}

function memoryFiles(memory: Fields | undefined): ResourceConfig["files"] {
  const swappiness = memory?.whole("swappiness");
  const files = swappiness === undefined ? [] : [["memory.swappiness", String(swappiness)] as const];
  const all = memory?.flag("disableOOMKiller") === true ? [...files, ["memory.oom_control", "1"] as const] : files;
  return all.map(([name, value]) => ({ controller: "memory", name, value }));
}

function blockFiles(block: Fields | undefined): ResourceConfig["files"] {
  if (block === undefined) return [];
  block.refuse("weightDevice");
  const weight = block.whole("weight") ?? 0;
  const throttles = [
    ["throttleReadBpsDevice", "blkio.throttle.read_bps_device"],
    ["throttleWriteBpsDevice", "blkio.throttle.write_bps_device"],
    ["throttleReadIOPSDevice", "blkio.throttle.read_iops_device"],
    ["throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"],
  ] as const;
  return [
    ...(weight === 0 ? [] : [{ controller: "blkio", name: "blkio.bfq.weight", value: String(weight) }]),
    ...throttles.flatMap(([field, name]) =>
      block.objects(field, (device) => ({
        controller: "blkio",
        name,
        value: `${device.whole("major") ?? 0}:${device.whole("minor") ?? 0} ${device.whole("rate") ?? 0}`,
      })),
    ),
  ];
}

function parseDevice(device: Fields): DevicePermission {
  const type = device.text("type") ?? "a";
  if (type !== "a" && type !== "b" && type !== "c") throw device.wrong("type", `${type}, a, b or c is expected`);
  const access = device.text("access") ?? "rwm";
  if (!/^[rwm]*$/.test(access)) throw device.wrong("access", `${access}, some of rwm are expected`);
  const [major, minor] = [device.whole("major") ?? -1, device.whole("minor") ?? -1];
  return {
    allow: device.flag("allow"),
    type,
    ...(major < 0 ? {} : { major }),
    ...(minor < 0 ? {} : { minor }),
    access: access === "" ? "rwm" : access,
  };
}
