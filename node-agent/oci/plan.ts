// From a bundle's config to a launch plan. Pure; the ops are the agent's own.

import { defaultDevices, defaultLinks } from "../runtime/defaults.ts";
import {
  capabilityMask,
  cgroupMounts,
  joinCgroup,
  type LaunchOp,
  planCgroupLinks,
  planCgroupMake,
  planHold,
  planMount,
  planRlimit,
  sysctlPath,
  sysctlScope,
} from "../runtime/plan.ts";
import type { Mount } from "../runtime/runtime.ts";
import type { OciCgroup } from "./cgroup.ts";
import type { Hook, OciConfig } from "./config.ts";
import { ConfigError } from "./fields.ts";
import { planNamespaces } from "./plan-namespaces.ts";
import type { ProcessConfig } from "./process-config.ts";

export interface CreateContext {
  /** Where the process waits for its start. */
  readonly startSocket: string;
  readonly consoleSocket: string | undefined;
  readonly cgroup: OciCgroup | undefined;
  readonly seccompFilter: Buffer | undefined;
  /** The state that hooks get, up to its pid and what comes behind it. */
  readonly state: readonly [before: string, behind: string];
  readonly newKeyring: boolean;
}

/** Everything up to the program, which then waits for its start. Throws ConfigError or LaunchError. */
export function planCreate(config: OciConfig, context: CreateContext): readonly LaunchOp[] {
  const { cgroup } = context;
  const { process } = config;
  const mounts = config.mounts.flatMap((mount) => expandCgroups(mount, cgroup));
  const namespaces = planNamespaces(config);
  return [
    ...(cgroup === undefined ? [] : planCgroupMake(cgroup)),
    ...planStdio(process, context.consoleSocket),
    ["start-socket", context.startSocket],
    ...(cgroup?.cgroup.join.type === "into" ? [["into-cgroup", cgroup.cgroup.join.directory] satisfies LaunchOp] : []),
    ...namespaces.clone,
    ...joinCgroup(cgroup?.cgroup),
    ...namespaces.enter,
    ...planSysctls(config),
    ...planOomScore(process),
    ...mounts.map(withoutCopyUp).flatMap(planHold),
    ["private-mounts"],
    ...planFiles(config, mounts, context),
    ["pivot"],
    ...(config.rootfsPropagation === "private"
      ? []
      : [["root-propagation", config.rootfsPropagation] satisfies LaunchOp]),
    ...(process === undefined
      ? []
      : [["find-program", process.args[0] ?? "", process.cwd, ...process.env] satisfies LaunchOp]),
    ...(process?.rlimits ?? []).map(planRlimit),
    ["await-start"],
    ...config.hooks.startContainer.map((hook) => planHook(hook, context.state)),
    // Without a process it waits for ever: its start is refused before.
    ...(process === undefined ? [] : planProcess(process, context)),
    ...(process === undefined
      ? []
      : [["exec", process.args.length, ...process.args, ...process.env] satisfies LaunchOp]),
  ];
}

export function planStdio(process: ProcessConfig | undefined, consoleSocket: string | undefined): readonly LaunchOp[] {
  if (process?.terminal !== true) return [["stdio", "inherit", "1"]];
  const { columns = 0, rows = 0 } = process.consoleSize ?? {};
  return [
    ["stdio", "terminal", "1", columns, rows],
    ...(consoleSocket === undefined ? [] : [["console-socket", consoleSocket] satisfies LaunchOp]),
  ];
}

/** Who the process is, up to its exec. */
export function planProcess(
  process: ProcessConfig,
  context: Pick<CreateContext, "seccompFilter" | "newKeyring">,
): readonly LaunchOp[] {
  const { seccompFilter, newKeyring } = context;
  const seccomp: readonly LaunchOp[] = seccompFilter === undefined ? [] : [["seccomp", seccompFilter]];
  const { bounding, effective, permitted, inheritable, ambient } = process.capabilities;
  return [
    ["session"],
    ...(newKeyring ? [["keyring"] satisfies LaunchOp] : []),
    ...(process.umask === undefined ? [] : [["umask", process.umask] satisfies LaunchOp]),
    ["cwd", process.cwd],
    ["bounding", capabilityMask(bounding)],
    // Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter, which `capabilities` takes away.
    ...(process.noNewPrivileges ? [] : seccomp),
    ["user", process.user.uid, process.user.gid, ...process.user.additionalGids],
    ["capabilities", ...[effective, permitted, inheritable, ambient].map(capabilityMask)],
    ...(process.noNewPrivileges ? [["no-new-privileges"] satisfies LaunchOp, ...seccomp] : []),
  ];
}

export function planOomScore(process: ProcessConfig | undefined): readonly LaunchOp[] {
  const score = process?.oomScoreAdj;
  return score === undefined ? [] : [["write", "/proc/self/oom_score_adj", score]];
}

function planFiles(config: OciConfig, mounts: readonly Mount[], context: CreateContext): readonly LaunchOp[] {
  const { root, hooks, process } = config;
  const dev = mounts.find(({ destination }) => destination === "/dev");
  const ownDevices = dev?.type !== "bind";
  const cgroups = config.mounts.find(({ type }) => type === "cgroup");
  const waits =
    hooks.prestart.length + hooks.createRuntime.length + hooks.createContainer.length + hooks.startContainer.length;
  return [
    ["rootfs", root.path, "bind", root.path, "recursive", ""],
    ...mounts.map(planCopyingMount),
    ...(cgroups === undefined
      ? []
      : planCgroupLinks({ privileged: !cgroups.options.includes("ro") }, context.cgroup ?? none)),
    ...(ownDevices ? planDevices(config) : []),
    ...(process?.terminal === true ? [["terminal", "1"] satisfies LaunchOp] : []),
    ["directory", process?.cwd ?? "/"],
    // Hooks of the runtime's namespace find the mounts there, and the host's root still beside them.
    ...(waits > 0 ? [["sync"] satisfies LaunchOp] : []),
    ...hooks.createContainer.map((hook) => planHook(hook, context.state)),
    ...config.maskedPaths.map((path): LaunchOp => ["mask", path]),
    ...config.readonlyPaths.map((path): LaunchOp => ["readonly", path]),
    ...(root.readonly ? [["readonly-mount", "/"] satisfies LaunchOp] : []),
  ];
}

/** podman's word for a fresh file system with what the image has there. */
const copyUp = "tmpcopyup";

function planCopyingMount(mount: Mount): LaunchOp {
  if (!mount.options.includes(copyUp)) return planMount(mount);
  const [name, ...args] = planMount(withoutCopyUp(mount));
  if (name !== "mount") throw new ConfigError(`mounts: ${copyUp} at ${mount.destination} is for new file systems`);
  return ["mount-copy", ...args];
}

function withoutCopyUp(mount: Mount): Mount {
  return { ...mount, options: mount.options.filter((option) => option !== copyUp) };
}

const none = { cgroup: undefined };

function planDevices({ devices }: OciConfig): readonly LaunchOp[] {
  const taken = new Set(devices.map(({ path }) => path));
  return [
    ...defaultDevices
      .filter(({ path }) => !taken.has(path))
      .map(({ path, type, major, minor, mode }): LaunchOp => ["device", path, type, major, minor, mode]),
    ...devices.map(
      ({ path, type, major, minor, mode, uid, gid }): LaunchOp => ["device", path, type, major, minor, mode, uid, gid],
    ),
    ...defaultLinks.map(([target, path]): LaunchOp => ["symlink", target, path]),
  ];
}

/** What "cgroup" means as a mount: the container's own groups, however many trees there are. */
function expandCgroups(mount: Mount, cgroup: OciCgroup | undefined): readonly Mount[] {
  if (mount.type !== "cgroup" && mount.type !== "cgroup2") return [mount];
  if (mount.destination !== "/sys/fs/cgroup")
    throw new ConfigError(`mounts: cgroups can be mounted at /sys/fs/cgroup, not at ${mount.destination}`);
  return cgroupMounts({ privileged: !mount.options.includes("ro") }, cgroup?.cgroup);
}

/** Only those of its own namespaces: others would change the machine. */
function planSysctls({ sysctls, namespaces }: OciConfig): readonly LaunchOp[] {
  return Object.entries(sysctls).map(([name, value]) => {
    const [path, scope] = [sysctlPath(name), sysctlScope(name)];
    if (path === undefined || scope === undefined)
      throw new ConfigError(`linux.sysctl.${name}: not a setting of a container's namespaces`);
    if (!namespaces.some(({ type }) => type === scope))
      throw new ConfigError(`linux.sysctl.${name}: needs a ${scope} namespace`);
    return ["write", path, value];
  });
}

function planHook(hook: Hook, [before, behind]: CreateContext["state"]): LaunchOp {
  return ["hook", hook.timeoutMs, before, behind, hook.path, hook.args.length, ...hook.args, ...hook.env];
}
