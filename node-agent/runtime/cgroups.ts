// What a container's limits mean in cgroup files, on version 1 (one tree per controller) and version 2. Pure: the launcher writes.
import { allowedDevices } from "./defaults.ts";
import type { AllowedDevice, Resources } from "./runtime.ts";

/** Where this machine has its cgroup trees. */
export type CgroupLayout =
  | { readonly version: 1; readonly mounts: Readonly<Record<string, string>> }
  | { readonly version: 2; readonly mount: string };

export interface CgroupWrite {
  readonly path: string;
  readonly value: string;
  /** What a kernel may lack, or a node may not be allowed. */
  readonly optional: boolean;
}

export interface CgroupPlan {
  /** The container's directories, one per tree. */
  readonly directories: readonly string[];
  readonly writes: readonly CgroupWrite[];
  /** v1: the child writes "0" into each; v2: clone puts it into the directory. */
  readonly join:
    | { readonly type: "tasks"; readonly files: readonly string[] }
    | { readonly type: "into"; readonly directory: string };
  readonly oom: { readonly path: string; readonly key: string } | undefined;
  /** v2 has no files for this: a program attached to the cgroup decides. */
  readonly deviceFilter: boolean;
}

export interface CgroupRequest {
  /** Slash-separated, such as "/naru-demo/node1". */
  readonly parent: string;
  /** Below the parent. */
  readonly path: string;
  readonly resources: Resources;
  readonly allDevices: boolean;
  readonly devices?: readonly AllowedDevice[];
}

const controllersWanted = ["cpu", "cpuacct", "memory", "pids", "devices", "freezer"] as const;
const controllersV2 = ["cpu", "memory", "pids"] as const;

/** Reads /proc/self/mountinfo (proc(5)). Undefined when there are no cgroups. */
export function detectCgroups(mountinfo: string): CgroupLayout | undefined {
  const mounts: Record<string, string> = {};
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const path = left
      ?.split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    const [type, , options] = right?.split(" ") ?? [];
    if (path === undefined) continue;
    if (type === "cgroup2") unified ??= path;
    if (type !== "cgroup") continue;
    for (const name of options?.split(",") ?? [])
      if (controllersWanted.some((wanted) => wanted === name)) mounts[name] ??= path;
  }
  if (mounts["memory"] !== undefined || mounts["pids"] !== undefined) return { version: 1, mounts };
  return unified === undefined ? undefined : { version: 2, mount: unified };
}

/** Every directory of `path` in the trees, one per tree. */
export function cgroupDirectories(layout: CgroupLayout, path: string): readonly string[] {
  const mounts = layout.version === 1 ? Object.values(layout.mounts) : [layout.mount];
  return [...new Set(mounts)].map((mount) => join(mount, path));
}

export function planCgroup(layout: CgroupLayout, request: CgroupRequest): CgroupPlan {
  return layout.version === 1 ? planV1(layout.mounts, request) : planV2(layout.mount, request);
}

function planV1(mounts: Readonly<Record<string, string>>, request: CgroupRequest): CgroupPlan {
  const path = join(request.parent, request.path);
  const directories = cgroupDirectories({ version: 1, mounts }, path);
  const file = (controller: string, name: string) =>
    mounts[controller] === undefined ? undefined : join(mounts[controller], path, name);
  const writes: CgroupWrite[] = [];
  const write = (controller: string, name: string, value: number | string, optional = "needed") => {
    const to = file(controller, name);
    if (to !== undefined) writes.push({ path: to, value: String(value), optional: optional === "optional" });
  };
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytesMax, memorySwapBytesMax, memoryReservationBytes, pidsMax } =
    request.resources;
  if (cpuShares !== undefined) write("cpu", "cpu.shares", clamp(cpuShares, 2, 262_144));
  if (cpuPeriodUs !== undefined) write("cpu", "cpu.cfs_period_us", cpuPeriodUs);
  if (cpuQuotaUs !== undefined) write("cpu", "cpu.cfs_quota_us", cpuQuotaUs);
  if (memoryBytesMax !== undefined) {
    write("memory", "memory.limit_in_bytes", memoryBytesMax);
    // Memory with swap: the same limit, so no swap. Absent when the kernel does not count swap.
    write("memory", "memory.memsw.limit_in_bytes", memorySwapBytesMax ?? memoryBytesMax, "optional");
  }
  if (memoryReservationBytes !== undefined)
    write("memory", "memory.soft_limit_in_bytes", memoryReservationBytes, "optional");
  if (pidsMax !== undefined) write("pids", "pids.max", pidsMax);
  if (!request.allDevices) {
    write("devices", "devices.deny", "a");
    for (const { type, major, minor, access } of [...allowedDevices, ...(request.devices ?? [])])
      write("devices", "devices.allow", `${type} ${major ?? "*"}:${minor ?? "*"} ${access}`);
  }
  const oom = file("memory", "memory.oom_control");
  return {
    directories,
    writes,
    // "tasks", not "cgroup.procs": a process that moves itself alone need not wait until no other one forks.
    join: { type: "tasks", files: directories.map((directory) => join(directory, "tasks")) },
    oom: oom === undefined ? undefined : { path: oom, key: "oom_kill" },
    deviceFilter: false,
  };
}

function planV2(mount: string, request: CgroupRequest): CgroupPlan {
  const path = join(request.parent, request.path);
  const directory = join(mount, path);
  const writes: CgroupWrite[] = [];
  const names = path.split("/").filter((name) => name !== "");
  // Every cgroup above must pass the controllers on.
  for (const i of names.keys())
    for (const controller of controllersV2)
      writes.push({
        path: join(mount, ...names.slice(0, i), "cgroup.subtree_control"),
        value: `+${controller}`,
        optional: true,
      });
  const write = (name: string, value: number | string, optional = "needed") =>
    writes.push({ path: join(directory, name), value: String(value), optional: optional === "optional" });
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytesMax, memorySwapBytesMax, memoryReservationBytes, pidsMax } =
    request.resources;
  if (cpuShares !== undefined) write("cpu.weight", weightOfShares(cpuShares));
  if (cpuQuotaUs !== undefined || cpuPeriodUs !== undefined)
    write("cpu.max", `${cpuQuotaUs === undefined || cpuQuotaUs < 0 ? "max" : cpuQuotaUs} ${cpuPeriodUs ?? 100_000}`);
  if (memoryBytesMax !== undefined) {
    write("memory.max", memoryBytesMax);
    write("memory.swap.max", swapOnly(memoryBytesMax, memorySwapBytesMax), "optional");
  }
  if (memoryReservationBytes !== undefined) write("memory.low", memoryReservationBytes, "optional");
  if (pidsMax !== undefined) write("pids.max", pidsMax);
  return {
    directories: [directory],
    writes,
    join: { type: "into", directory },
    oom: { path: join(directory, "memory.events"), key: "oom_kill" },
    deviceFilter: !request.allDevices,
  };
}

/** Version 2 counts swap by itself. */
function swapOnly(memoryBytes: number, withSwapBytes: number | undefined): number | string {
  if (withSwapBytes === undefined) return 0;
  return withSwapBytes < 0 ? "max" : Math.max(0, withSwapBytes - memoryBytes);
}

/** What freezes or thaws everything in a container, and how it says that it has happened. Undefined where the kernel cannot. */
export function planFreeze(layout: CgroupLayout, path: string, wanted: "frozen" | "thawed"): FreezePlan | undefined {
  const frozen = wanted === "frozen";
  if (layout.version === 2) {
    const directory = join(layout.mount, path);
    return {
      write: { path: join(directory, "cgroup.freeze"), value: frozen ? "1" : "0" },
      done: { path: join(directory, "cgroup.events"), line: `frozen ${frozen ? 1 : 0}` },
    };
  }
  const mount = layout.mounts["freezer"];
  if (mount === undefined) return undefined;
  const state = join(mount, path, "freezer.state");
  const word = frozen ? "FROZEN" : "THAWED";
  return { write: { path: state, value: word }, done: { path: state, line: word } };
}

export interface FreezePlan {
  readonly write: { readonly path: string; readonly value: string };
  readonly done: { readonly path: string; readonly line: string };
}

/** v1's shares, 2 to 262144, on v2's scale, 1 to 10000; the OCI runtimes' long-standing line between them. */
export function weightOfShares(shares: number): number {
  return 1 + Math.floor(((clamp(shares, 2, 262_144) - 2) * 9999) / 262_142);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function join(...parts: readonly string[]): string {
  return parts.join("/").replaceAll(/\/+/g, "/");
}
