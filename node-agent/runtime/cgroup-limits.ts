// Limits as the files of one cgroup take them, on version 1 and version 2. Pure.
// Source: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
import type { CgroupWrite } from "./cgroups.ts";
import type { Resources } from "./runtime.ts";

/** `mounts`: where each controller has its tree. What a controller that is absent would limit is left alone. */
export function limitsV1(
  mounts: Readonly<Record<string, string>>,
  path: string,
  resources: Resources,
): readonly CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const write = (controller: string, name: string, value: number | string, optional = "needed") => {
    const mount = mounts[controller];
    if (mount !== undefined)
      writes.push({ path: join(mount, path, name), value: String(value), optional: optional === "optional" });
  };
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytesMax, memorySwapBytesMax, memoryReservationBytes, pidsMax } =
    resources;
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
  if (pidsMax !== undefined) write("pids", "pids.max", unbounded(pidsMax));
  for (const { pageSize, bytesMax } of resources.hugepages ?? [])
    write("hugetlb", `hugetlb.${pageSize}.limit_in_bytes`, bytesMax, "optional");
  for (const { name, value, optional } of (resources.rare ?? []).flatMap(({ v1 }) => v1))
    write(controllerOf(name), name, value, optional === true ? "optional" : "needed");
  return writes;
}

export function limitsV2(directory: string, resources: Resources): readonly CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const write = (name: string, value: number | string, optional = "needed") =>
    writes.push({ path: join(directory, name), value: String(value), optional: optional === "optional" });
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytesMax, memorySwapBytesMax, memoryReservationBytes, pidsMax } =
    resources;
  if (cpuShares !== undefined) write("cpu.weight", weightOfShares(cpuShares));
  if (cpuQuotaUs !== undefined || cpuPeriodUs !== undefined)
    write("cpu.max", `${unbounded(cpuQuotaUs ?? -1)} ${cpuPeriodUs ?? 100_000}`);
  if (memoryBytesMax !== undefined) {
    write("memory.max", unbounded(memoryBytesMax));
    write("memory.swap.max", swapOnly(memoryBytesMax, memorySwapBytesMax), "optional");
  }
  if (memoryReservationBytes !== undefined) write("memory.low", memoryReservationBytes, "optional");
  if (pidsMax !== undefined) write("pids.max", unbounded(pidsMax));
  for (const { pageSize, bytesMax } of resources.hugepages ?? [])
    write(`hugetlb.${pageSize}.max`, bytesMax, "optional");
  for (const { name, value, optional } of (resources.rare ?? []).flatMap(({ v2 }) => v2))
    write(name, value, optional === true ? "optional" : "needed");
  return writes;
}

/** Of a cgroup's file. */
export function controllerOf(file: string): string {
  return file.slice(0, file.indexOf("."));
}

/** Controllers that these limits need beside the usual ones. */
export function rareControllers({ rare = [] }: Resources, version: 1 | 2): readonly string[] {
  const files = rare.flatMap(({ v1, v2 }) => (version === 1 ? v1 : v2));
  return [...new Set(files.map(({ name }) => controllerOf(name)))];
}

/** v1's shares, 2 to 262144, on v2's scale, 1 to 10000; the OCI runtimes' long-standing line between them. */
export function weightOfShares(shares: number): number {
  return 1 + Math.floor(((clamp(shares, 2, 262_144) - 2) * 9999) / 262_142);
}

/** Version 2 counts swap by itself. */
function swapOnly(memoryBytes: number, withSwapBytes: number | undefined): number | string {
  if (withSwapBytes === undefined) return memoryBytes < 0 ? "max" : 0;
  return withSwapBytes < 0 ? "max" : Math.max(0, withSwapBytes - memoryBytes);
}

/** Version 1 says -1 for what has no limit. */
function unbounded(value: number): number | "max" {
  return value < 0 ? "max" : value;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function join(...parts: readonly string[]): string {
  const path = parts.join("/");
  return path.includes("//") ? path.replaceAll(/\/+/g, "/") : path;
}
