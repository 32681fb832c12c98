// Limits that few containers have, CPUs, memory nodes, block devices, swapping: from the API's words to what the runtime takes. Pure.
import { blockThrottle, blockWeight, type DeviceNumbers, type ThrottleKind } from "../../runtime/block-limits.ts";
import type { CgroupFile, DeviceRule, RareLimit } from "../../runtime/runtime.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";
import type { HostConfig, Limits } from "./record.ts";

type RareUpdate = Required<Pick<Limits, "CpusetCpus" | "CpusetMems" | "BlkioWeight">>;
type RareOptions = Pick<
  HostConfig,
  "DeviceCgroupRules" | "BlkioWeightDevice" | ThrottleOption | "MemorySwappiness" | "OomKillDisable"
>;
type ThrottleOption = keyof typeof throttles;

const throttles = {
  BlkioDeviceReadBps: "read_bps",
  BlkioDeviceWriteBps: "write_bps",
  BlkioDeviceReadIOps: "read_iops",
  BlkioDeviceWriteIOps: "write_iops",
} as const satisfies Readonly<Record<string, ThrottleKind>>;
const throttleNames = Object.keys(throttles) as readonly ThrottleOption[];

const cpuList = /^\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*$/;

/** What "update" changes, too. */
export function parseRareUpdate(host: JsonObject): RareUpdate {
  const list = (key: string, what: string) => {
    const text = host.text(key);
    if (text !== "" && !cpuList.test(text)) throw badRequest(`Invalid value ${text} for ${what}`);
    return text;
  };
  return {
    CpusetCpus: list("CpusetCpus", "cpuset cpus"),
    CpusetMems: list("CpusetMems", "cpuset mems"),
    BlkioWeight: weightOf(host.number("BlkioWeight")),
  };
}

function weightOf(weight: number): number {
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw badRequest("Range of blkio weight is from 10 to 1000");
  return weight;
}

export function parseRareOptions(host: JsonObject): RareOptions {
  const swappiness = host.optionalNumber("MemorySwappiness") ?? -1;
  if (swappiness < -1 || swappiness > 100)
    throw badRequest(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  const rates = throttleNames.map((name) => [
    name,
    host.objects(name).map((one) => ({ Path: one.text("Path"), Rate: one.number("Rate") })),
  ]);
  const rules = host.texts("DeviceCgroupRules");
  for (const rule of rules) parseDeviceRule(rule);
  return {
    DeviceCgroupRules: rules,
    BlkioWeightDevice: host
      .objects("BlkioWeightDevice")
      .map((one) => ({ Path: one.text("Path"), Weight: weightOf(one.number("Weight")) })),
    ...(Object.fromEntries(rates) as Pick<HostConfig, ThrottleOption>),
    ...(swappiness === -1 ? {} : { MemorySwappiness: swappiness }),
    OomKillDisable: host.flag("OomKillDisable"),
  };
}

/** "c 10:200 rwm", "b *:* r"; "a" is both types. */
export function parseDeviceRule(text: string): readonly DeviceRule[] {
  const [, type = "", major = "", minor = "", access = ""] =
    /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text) ?? [];
  if (type === "") throw badRequest(`invalid device cgroup rule format: '${text}'`);
  const numbers = {
    ...(major === "*" ? {} : { major: Number(major) }),
    ...(minor === "*" ? {} : { minor: Number(minor) }),
  };
  const types = type === "a" ? (["c", "b"] as const) : [type === "c" ? ("c" as const) : ("b" as const)];
  return types.map((one) => ({ type: one, ...numbers, access }));
}

/** Throws for more than the node has. */
export function checkProcessors({ NanoCpus, CpusetCpus = "" }: HostConfig, count: number): void {
  if (NanoCpus > count * 1e9)
    throw badRequest(`Range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`);
  const wanted = CpusetCpus.split(/[-,]/).map(Number);
  if (wanted.some((cpu) => cpu >= count))
    throw badRequest(`Requested CPUs are not available - requested ${CpusetCpus}, available: 0-${count - 1}`);
}

/** Block devices that the limits name. */
export function limitedDevices(host: HostConfig): readonly string[] {
  const lists = [host.BlkioWeightDevice, ...throttleNames.map((name) => host[name])];
  return [...new Set(lists.flatMap((list) => (list ?? []).map(({ Path }) => Path)))];
}

/** `numbersOf`: of each of the devices. */
export function planRareLimits(host: HostConfig, numbersOf: (path: string) => DeviceNumbers): readonly RareLimit[] {
  const both = (name: string, value = ""): readonly RareLimit[] =>
    value === "" ? [] : [{ v1: [{ name, value }], v2: [{ name, value }] }];
  const old = (...v1: readonly CgroupFile[]): RareLimit => ({ v1, v2: [] });
  const { BlkioWeight = 0, BlkioWeightDevice = [], MemorySwappiness, OomKillDisable = false } = host;
  return [
    ...both("cpuset.cpus", host.CpusetCpus),
    ...both("cpuset.mems", host.CpusetMems),
    ...(BlkioWeight === 0 ? [] : [blockWeight(BlkioWeight)]),
    ...BlkioWeightDevice.map(({ Path, Weight }) => blockWeight(Weight, numbersOf(Path))),
    ...throttleNames.flatMap((name) =>
      (host[name] ?? []).map(({ Path, Rate }) => blockThrottle(throttles[name], numbersOf(Path), Rate)),
    ),
    // Kernels may be built without swap.
    ...(MemorySwappiness === undefined
      ? []
      : [old({ name: "memory.swappiness", value: String(MemorySwappiness), optional: true })]),
    ...(OomKillDisable ? [old({ name: "memory.oom_control", value: "1" })] : []),
  ];
}

/** What cgroup version 2 has nothing like; docker's own engine says so in the same words. */
export function rareWarnings(host: HostConfig, cgroupVersion: 1 | 2): readonly string[] {
  if (cgroupVersion === 1) return [];
  return [
    ...(host.MemorySwappiness === undefined
      ? []
      : [
          "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
        ]),
    ...(host.OomKillDisable === true ? ["Your kernel does not support OomKillDisable. OomKillDisable discarded."] : []),
  ];
}
