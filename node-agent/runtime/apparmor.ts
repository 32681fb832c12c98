// AppArmor on this machine: whether the kernel enforces it, and the profile of containers that ask for the runtime's default.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readOptional } from "./container-directory.ts";

export interface AppArmor {
  /** The kernel enforces profiles. */
  readonly enabled: boolean;
  /** The default profile's name, once it is loaded; else why it is not. */
  readonly defaultProfile: string | undefined;
  readonly problem: string | undefined;
}

export const noAppArmor: AppArmor = {
  enabled: false,
  defaultProfile: undefined,
  problem: "AppArmor is not enabled on the host",
};

const profileName = "naru-default";
const loadMsMax = 30_000;
const parsers = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];

export function isAppArmorEnabled(): boolean {
  return readOptional("/sys/module/apparmor/parameters/enabled")?.startsWith("Y") === true;
}

/** Loads the default profile, or loads it anew: it stays in the kernel when the agent ends, as its containers do. */
export function openAppArmor(): AppArmor {
  if (!isAppArmorEnabled()) return noAppArmor;
  const problem = load();
  return { enabled: true, defaultProfile: problem === undefined ? profileName : undefined, problem };
}

function load(): string | undefined {
  const parser = parsers.find((path) => existsSync(path));
  if (parser === undefined)
    return "the runtime's default profile cannot be loaded: apparmor_parser is not here, install the package apparmor";
  const { status, stderr, error } = spawnSync(parser, ["--skip-cache", "--replace"], {
    input: defaultProfile,
    encoding: "utf8",
    timeout: loadMsMax,
  });
  if (status === 0) return undefined;
  return `the runtime's default profile cannot be loaded: ${error?.message ?? stderr.trim()}`;
}

/** The same confinement as Docker's docker-default. Source: AppArmor, apparmor.d(5). */
const defaultProfile = `@{PROC}=/proc/
profile ${profileName} flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send,receive) peer=${profileName},
  ptrace (trace,read,tracedby,readby) peer=${profileName},
  deny mount,
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;
