// What a container may do: capabilities, system calls, paths, limits, as Docker's options say it. Pure.
import {
  capabilityNames,
  defaultCapabilities,
  defaultMaskedPaths,
  defaultReadonlyPaths,
} from "../../runtime/defaults.ts";
import type { ContainerSpec, RareLimit, Resources } from "../../runtime/runtime.ts";
import { parseJson } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";
import type { HostConfig, Limits } from "./record.ts";

export type Confinement = Pick<
  ContainerSpec,
  "capabilities" | "noNewPrivileges" | "privileged" | "seccomp" | "maskedPaths" | "readonlyPaths" | "rlimits"
>;

/** Throws for options that cannot be had. */
export function confinement(host: HostConfig): Confinement {
  const options = parseSecurityOptions(host.SecurityOpt);
  return {
    capabilities: capabilities(host.CapAdd, host.CapDrop),
    noNewPrivileges: options.noNewPrivileges,
    privileged: host.Privileged,
    seccomp: options.seccomp,
    maskedPaths: host.MaskedPaths ?? defaultMaskedPaths,
    readonlyPaths: host.ReadonlyPaths ?? defaultReadonlyPaths,
    rlimits: host.Ulimits.map(({ Name, Soft, Hard }) => {
      if (!limitNames.includes(Name)) throw badRequest(`invalid ulimit type: ${Name}`);
      if (Hard >= 0 && (Soft > Hard || Soft < 0))
        throw badRequest(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
      return { type: `RLIMIT_${Name.toUpperCase()}`, soft: Soft, hard: Hard };
    }),
  };
}

const limitNames: readonly string[] = [
  ...["core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"],
  ...["rss", "rtprio", "rttime", "sigpending", "stack"],
];

/** The default ones, with those added and without those dropped; ALL is every one. */
export function capabilities(add: readonly string[], drop: readonly string[]): readonly string[] {
  const [added, dropped] = [add.map(capability), drop.map(capability)];
  const base = added.includes("ALL") ? capabilityNames : dropped.includes("ALL") ? [] : defaultCapabilities;
  const named = added.filter((name) => name !== "ALL");
  return [...new Set([...base.filter((name) => !dropped.includes(name)), ...named])];
}

function capability(text: string): string {
  const upper = text.toUpperCase();
  if (upper === "ALL") return upper;
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!capabilityNames.includes(name))
    throw badRequest(`invalid capability: unknown capability ${JSON.stringify(text)}`);
  return name;
}

function parseSecurityOptions(options: readonly string[]): Pick<Confinement, "noNewPrivileges" | "seccomp"> {
  let noNewPrivileges = false;
  let seccomp: Confinement["seccomp"] = "default";
  for (const option of options) {
    const [, key = option, value = ""] = /^([a-z-]+)[=:](.*)$/s.exec(option) ?? [];
    if (key === "no-new-privileges") noNewPrivileges = value !== "false";
    else if (key === "seccomp") seccomp = seccompOf(value);
    else if (key === "apparmor" && (value === "unconfined" || value === "docker-default")) continue;
    // SELinux is not used, so nothing has to be switched off.
    else if (key === "label" && value === "disable") continue;
    else
      throw badRequest(
        `invalid --security-opt: ${JSON.stringify(option)}: supported are no-new-privileges, seccomp, apparmor=unconfined and label=disable`,
      );
  }
  return { noNewPrivileges, seccomp };
}

function seccompOf(value: string): Confinement["seccomp"] {
  if (value === "unconfined") return "unconfined";
  if (value === "" || value === "builtin") return "default";
  return { profile: parseJson(value) };
}

export function planResources(limits: Limits, oomScoreAdj: number, rare: readonly RareLimit[] = []): Resources {
  const period = limits.CpuPeriod > 0 ? limits.CpuPeriod : 100_000;
  const quota = limits.NanoCpus > 0 ? Math.round((limits.NanoCpus / 1e9) * period) : limits.CpuQuota;
  return {
    ...(limits.CpuShares > 0 ? { cpuShares: limits.CpuShares } : {}),
    ...(quota > 0 || limits.CpuPeriod > 0 ? { cpuPeriodUs: period } : {}),
    ...(quota > 0 ? { cpuQuotaUs: quota } : {}),
    ...(limits.Memory > 0 ? { memoryBytesMax: limits.Memory, memorySwapBytesMax: swapBytes(limits) } : {}),
    ...(limits.MemoryReservation > 0 ? { memoryReservationBytes: limits.MemoryReservation } : {}),
    ...(limits.PidsLimit === 0 ? {} : { pidsMax: Math.max(-1, limits.PidsLimit) }),
    oomScoreAdj,
    ...(rare.length === 0 ? {} : { rare }),
  };
}

// Without a word about swap, as much again as memory.
function swapBytes({ Memory, MemorySwap }: Limits): number {
  return MemorySwap === 0 ? Memory * 2 : MemorySwap;
}
