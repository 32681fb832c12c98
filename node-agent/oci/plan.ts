// From a bundle's config to a launch plan. Pure; the ops are the agent's own.

import { defaultDevices, defaultLinks } from "../runtime/defaults.ts";
import type { LaunchOp } from "../runtime/launch-op.ts";
import { cgroupMounts, joinCgroup, planCgroupLinks, planCgroupMake } from "../runtime/plan-cgroups.ts";
import { planHold, planMount } from "../runtime/plan-mounts.ts";
import { sysctlPath, sysctlScope } from "../runtime/plan-namespaces.ts";
import type { Mount } from "../runtime/runtime.ts";
import type { OciCgroup } from "./cgroup.ts";
import type { OciConfig, OciMount } from "./config.ts";
import { ConfigError } from "./fields.ts";
import { planNamespaces } from "./plan-namespaces.ts";
import {
  type CreateContext,
  planEnterUsers,
  planHook,
  planListener,
  planOomScore,
  planPlace,
  planProcess,
  planStdio,
} from "./plan-process.ts";
import { hostId, mapMount, ownerOf } from "./users.ts";

/** Everything up to the program, which then waits for its start. Throws ConfigError or LaunchError. */
export function planCreate(config: OciConfig, context: CreateContext): readonly LaunchOp[] {
  const { cgroup } = context;
  const { process } = config;
  const mounts = config.mounts.flatMap((mount) => expandCgroups(mount, cgroup));
  const namespaces = planNamespaces(config);
  return [
    ...(cgroup === undefined ? [] : planCgroupMake(cgroup)),
    ...planStdio(process, context.consoleSocket),
    ...planListener(context.seccompFilter),
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
    ...planPlace(config, process, planEnterUsers(config)),
    ["await-start"],
    // Without a process it waits for ever: its start is refused before.
    ...(process === undefined
      ? []
      : [
          ...planProcess(process, context, config.hooks.startContainer),
          ["exec", process.args.length, ...process.args, ...process.env] satisfies LaunchOp,
        ]),
  ];
}

function planFiles(config: OciConfig, mounts: readonly OciMount[], context: CreateContext): readonly LaunchOp[] {
  const { root, hooks, process } = config;
  const dev = mounts.find(({ destination }) => destination === "/dev");
  const ownDevices = dev?.type !== "bind";
  const cgroups = config.mounts.find(({ type }) => type === "cgroup");
  const waits =
    hooks.prestart.length + hooks.createRuntime.length + hooks.createContainer.length + hooks.startContainer.length >
      0 || context.seccompFilter?.listener !== undefined;
  return [
    ["rootfs", root.path, "bind", root.path, "recursive", ""],
    ...mounts.map((mount, i) => planCopyingMount(mapMount(mount, config.users), numberOf(mounts, i))),
    ...(cgroups === undefined
      ? []
      : planCgroupLinks({ privileged: !cgroups.options.includes("ro") }, context.cgroup ?? none)),
    ...(ownDevices ? planDevices(config) : []),
    ...(process?.terminal === true ? [["terminal", "1"] satisfies LaunchOp] : []),
    ["directory", process?.cwd ?? "/"],
    // Hooks of the runtime's namespace find the mounts there, and the host's root still beside them.
    ...(waits ? [["sync"] satisfies LaunchOp] : []),
    ...hooks.createContainer.map((hook) => planHook(hook, context.state)),
    ...config.maskedPaths.map((path): LaunchOp => ["mask", path]),
    ...config.readonlyPaths.map((path): LaunchOp => ["readonly", path]),
    ...(root.readonly ? [["readonly-mount", "/"] satisfies LaunchOp] : []),
  ];
}

/** podman's word for a fresh file system with what the image has there. */
const copyUp = "tmpcopyup";

function planCopyingMount(mount: Mount, users: number | undefined): LaunchOp {
  const maps = mount.options.some((option) => option === "idmap" || option === "ridmap");
  if (!mount.options.includes(copyUp)) return withUsers(planMount(mount, maps ? anyUsers : undefined), users);
  const [name, ...args] = planMount(withoutCopyUp(mount));
  if (name !== "mount") throw new ConfigError(`mounts: ${copyUp} at ${mount.destination} is for new file systems`);
  return ["mount-copy", ...args];
}

/** Whether there are users to map was looked at before; who they are is in other ops. */
const anyUsers = { hostId: 0, size: 0 };

/** Of those users that `mount-users` made. */
function numberOf(mounts: readonly OciMount[], at: number): number | undefined {
  if (mounts[at]?.users === undefined) return undefined;
  return mounts.slice(0, at).filter(({ users }) => users !== undefined).length;
}

/** A bind's words are its last argument. */
function withUsers([name, ...args]: LaunchOp, users: number | undefined): LaunchOp {
  if (users === undefined || name !== "bind") return [name, ...args];
  return [name, ...args.slice(0, -1), String(args.at(-1)).replace(/\br?idmap\b/, (word) => `${word}:${users}`)];
}

function withoutCopyUp(mount: Mount): Mount {
  return { ...mount, options: mount.options.filter((option) => option !== copyUp) };
}

const none = { cgroup: undefined };

function planDevices({ devices, users }: OciConfig): readonly LaunchOp[] {
  const taken = new Set(devices.map(({ path }) => path));
  const missing = defaultDevices
    .filter(({ path }) => !taken.has(path))
    .map((device) => ({ ...device, uid: 0, gid: 0 }));
  const [root, rootGroup] = users === undefined ? [0, 0] : ownerOf(users);
  const owner = (id: number, ids: "uids" | "gids") => {
    if (users === undefined) return id;
    return id === 0 ? (ids === "uids" ? root : rootGroup) : hostId(users[ids], id, "linux.devices");
  };
  return [
    ...[...missing, ...devices].map(
      ({ path, type, major, minor, mode, uid, gid }): LaunchOp => [
        ...(["device", path, type, major, minor, mode] as const),
        ...[owner(uid, "uids"), owner(gid, "gids")],
      ],
    ),
    ...defaultLinks.map(([target, path]): LaunchOp => ["symlink", target, path]),
  ];
}

/** What "cgroup" means as a mount: the container's own groups, however many trees there are. */
function expandCgroups(mount: OciMount, cgroup: OciCgroup | undefined): readonly OciMount[] {
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
