// Namespaces of a bundle: made by clone, or joined by their paths. Pure.
import type { LaunchOp } from "../runtime/launch-op.ts";
import type { OciConfig } from "./config.ts";
import { ConfigError } from "./fields.ts";
import { mapText, ownerOf, planMountUsers } from "./users.ts";

export interface NamespacePlan {
  /** Up to and with clone. */
  readonly clone: readonly LaunchOp[];
  /** What the child does about those that clone does not make. */
  readonly enter: readonly LaunchOp[];
}

export function planNamespaces(config: OciConfig): NamespacePlan {
  const { namespaces } = config;
  const find = (type: string) => namespaces.find((namespace) => namespace.type === type);
  const own = (type: string) => find(type) !== undefined && find(type)?.path === undefined;
  checkUsers(config);
  if (find("mount") === undefined) throw new ConfigError("linux.namespaces: a mount namespace is needed");
  const { path: pid } = find("pid") ?? {};
  const users = find("user");
  const ruled = ["network", "ipc", "uts"].filter(own);
  const made = ["mount", "pid", ...(users === undefined ? ruled : [])].filter(own);
  const joined = namespaces.filter(({ type, path }) => path !== undefined && type !== "pid" && type !== "user");
  const names = [
    ["hostname", config.hostname],
    ["domainname", config.domainname],
  ] as const;
  for (const [name, value] of names)
    if (value !== undefined && value !== "" && find("uts") === undefined)
      throw new ConfigError(`${name}: needs a uts namespace`);
  return {
    clone: [
      ...planUsers(config, ruled),
      ...planMountUsers(config.mounts),
      ...(pid === undefined ? [] : [["pid-namespace", pid] satisfies LaunchOp]),
      ["clone", made.join(" ")],
    ],
    enter: [
      ...joined.map(({ type, path }): LaunchOp => ["setns", type, path ?? ""]),
      // After it joined its cgroup, which so becomes the "/" that it sees.
      ...(own("cgroup") && users === undefined ? [["unshare", "cgroup"] satisfies LaunchOp] : []),
      ...(own("network") ? [["loopback"] satisfies LaunchOp] : []),
      ...(own("time") ? planTime(config) : []),
      ...(config.hostname === undefined || config.hostname === ""
        ? []
        : [["hostname", config.hostname] satisfies LaunchOp]),
      ...(config.domainname === undefined || config.domainname === ""
        ? []
        : [["write", "/proc/sys/kernel/domainname", config.domainname] satisfies LaunchOp]),
    ],
  };
}

function checkUsers({ namespaces, users, mounts }: OciConfig): void {
  const namespace = namespaces.find(({ type }) => type === "user");
  if (namespace === undefined && users !== undefined)
    throw new ConfigError("linux.uidMappings: there is no user namespace that they are for");
  if (namespace !== undefined && users === undefined)
    throw new ConfigError("linux.uidMappings: a user namespace needs them, and linux.gidMappings");
  const mapped = mounts.find(({ options }) => options.some((option) => option === "idmap" || option === "ridmap"));
  if (mapped !== undefined && mapped.users === undefined && users === undefined)
    throw new ConfigError(`mount ${mapped.destination}: idmap needs uidMappings and gidMappings, or a user namespace`);
}

/** The other namespaces are made in it, so that its root rules over them. */
function planUsers({ namespaces, users }: OciConfig, ruled: readonly string[]): readonly LaunchOp[] {
  const namespace = namespaces.find(({ type }) => type === "user");
  if (namespace === undefined || users === undefined) return [];
  const { uids, gids } = users;
  return [["users", namespace.path ?? "", mapText(uids), mapText(gids), ruled.join(" "), ...ownerOf(users)]];
}

/** A new time namespace is for children; whoever made it enters by its path. */
function planTime({ timeOffsets }: OciConfig): readonly LaunchOp[] {
  const offsets = timeOffsets.map(({ clock, seconds, nanoseconds }) => `${clock} ${seconds} ${nanoseconds}\n`);
  return [
    ["unshare", "time"],
    ...(offsets.length === 0 ? [] : [["write", "/proc/self/timens_offsets", offsets.join("")] satisfies LaunchOp]),
    ["setns", "time", "/proc/self/ns/time_for_children"],
  ];
}
