// The process of a launch plan: limits, user, capabilities, filter. Pure.
import { capabilityNames } from "./defaults.ts";
import type { LaunchOp } from "./launch-op.ts";
import { type ContainerSpec, LaunchError } from "./runtime.ts";

const rlimits = [
  "RLIMIT_CPU",
  "RLIMIT_FSIZE",
  "RLIMIT_DATA",
  "RLIMIT_STACK",
  "RLIMIT_CORE",
  "RLIMIT_RSS",
  "RLIMIT_NPROC",
  "RLIMIT_NOFILE",
  "RLIMIT_MEMLOCK",
  "RLIMIT_AS",
  "RLIMIT_LOCKS",
  "RLIMIT_SIGPENDING",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
];

/** What the container can never have again. */
export function planBounding(spec: ContainerSpec): readonly LaunchOp[] {
  return [["bounding", capabilityMaskOf(spec)]];
}

function capabilityMaskOf({ privileged, capabilities }: ContainerSpec): string {
  return capabilityMask(privileged ? capabilityNames : capabilities);
}

export function planProcess(
  spec: ContainerSpec,
  filter: Buffer | undefined,
  { enterUsers, bounding }: { readonly enterUsers: LaunchOp; readonly bounding: readonly LaunchOp[] },
): readonly LaunchOp[] {
  const { idMapping } = spec;
  const seccomp: readonly LaunchOp[] = filter === undefined ? [] : [["seccomp", filter]];
  return [
    ["session"],
    ["keyring"],
    ...(spec.appArmorProfile === undefined ? [] : [["apparmor", spec.appArmorProfile] satisfies LaunchOp]),
    ...spec.rlimits.map(planRlimit),
    ...(idMapping === undefined
      ? []
      : [["own-stdio", idMapping.hostId + spec.user.uid] satisfies LaunchOp, enterUsers]),
    ["cwd", spec.cwd === "" ? "/" : spec.cwd],
    ...bounding,
    // Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter, which `capabilities` takes away.
    ...(spec.noNewPrivileges ? [] : seccomp),
    ["user", spec.user.uid, spec.user.gid, ...spec.user.additionalGids],
    ["capabilities", capabilityMaskOf(spec)],
    ["die-with-monitor"],
    ...(spec.noNewPrivileges ? [["no-new-privileges"] satisfies LaunchOp, ...seccomp] : []),
  ];
}

export function planRlimit(limit: ContainerSpec["rlimits"][number]): LaunchOp {
  return ["rlimit", rlimitNumber(limit.type), rlimitText(limit.soft), rlimitText(limit.hard)];
}

/** Throws LaunchError for a name that is none. */
export function rlimitNumber(type: string): number {
  const number = rlimits.indexOf(type);
  if (number === -1) throw new LaunchError(`resource limit ${type}: known are ${rlimits.join(", ")}`, 128);
  return number;
}

/** -1 and what is beyond exact numbers mean no limit. */
function rlimitText(value: number): string {
  return value < 0 || value > Number.MAX_SAFE_INTEGER ? "18446744073709551615" : String(Math.floor(value));
}

/** Decimal, as the launcher reads it. */
export function capabilityMask(names: readonly string[]): string {
  let mask = 0n;
  for (const name of names) {
    const bit = capabilityNames.indexOf(name);
    if (bit === -1) throw new LaunchError(`capability ${name}: no such capability`, 128);
    mask |= 1n << BigInt(bit);
  }
  return String(mask);
}

export function mergeEnv(base: readonly string[], more: readonly string[]): readonly string[] {
  const nameOf = (entry: string) => entry.split("=", 1)[0];
  const replaced = new Set(more.map(nameOf));
  return [...base.filter((entry) => !replaced.has(nameOf(entry))), ...more];
}
