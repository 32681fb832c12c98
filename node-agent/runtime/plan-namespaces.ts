// A container's namespaces in its launch plan: made or joined, with the users and settings that belong to them. Pure.
import type { LaunchOp } from "./launch-op.ts";
import { type ContainerSpec, LaunchError } from "./runtime.ts";

export function planClone(spec: ContainerSpec): readonly LaunchOp[] {
  const pid = spec.namespaces.find(({ type }) => type === "pid");
  const made = spec.namespaces.filter(
    ({ type, path }) => path === undefined && !["cgroup", "mount", "user"].includes(type),
  );
  return [
    ...(pid?.path === undefined ? [] : [["pid-namespace", pid.path] satisfies LaunchOp]),
    ["clone-apart", ["mount", ...new Set(made.map(({ type }) => type))].join(" ")],
  ];
}

export function isOwn(spec: ContainerSpec, type: string): boolean {
  return spec.namespaces.some((namespace) => namespace.type === type && namespace.path === undefined);
}

export function isJoined(spec: ContainerSpec, type: string): boolean {
  return spec.namespaces.some((namespace) => namespace.type === type && namespace.path !== undefined);
}

function joinedNamespaces({ namespaces }: ContainerSpec): ContainerSpec["namespaces"] {
  return namespaces.filter(({ type, path }) => path !== undefined && !["pid", "mount", "user"].includes(type));
}

/** What the monitor opens of them, as the child does not see the host's files. */
export function planHeldNamespaces(spec: ContainerSpec): readonly LaunchOp[] {
  const users = usersOf(spec);
  return [
    ...joinedNamespaces(spec).map(({ path }): LaunchOp => ["hold-namespace", path ?? ""]),
    ...(users === undefined ? [] : [["hold-users", users[0]] satisfies LaunchOp]),
  ];
}

export function planNamespaces(spec: ContainerSpec): readonly LaunchOp[] {
  return [
    ...joinedNamespaces(spec).map(({ type }): LaunchOp => ["enter-held", type]),
    ...(spec.namespaces.some(({ type }) => type === "user") ? [["users-held"] satisfies LaunchOp] : []),
    ...(spec.hostname !== undefined && isOwn(spec, "uts") ? [["hostname", spec.hostname] satisfies LaunchOp] : []),
  ];
}

/** Its path and its root on the host; undefined without a user namespace. */
function usersOf(spec: ContainerSpec): readonly [path: string, root: number] | undefined {
  const users = spec.namespaces.find(({ type }) => type === "user");
  if (users === undefined && spec.idMapping === undefined) return undefined;
  if (users?.path === undefined || spec.idMapping === undefined)
    throw new LaunchError("user namespace: it is joined by its path, and its mapping has to be known", 128);
  return [users.path, spec.idMapping.hostId];
}

/** The container's users are others on the host; what the child makes for it from here on is theirs. */
export function planUsers(spec: ContainerSpec): readonly LaunchOp[] {
  const users = usersOf(spec);
  return users === undefined ? [] : [["user-namespace", ...users]];
}

export function planOwner(spec: ContainerSpec): readonly LaunchOp[] {
  const users = usersOf(spec);
  return users === undefined ? [] : [["make-for", users[1]]];
}

/** Only those that belong to one of its namespaces: others would change the node. */
/** The kernel's settings are handed over by the monitor and written in the container's namespaces. */
export function planHeldSysctls(spec: ContainerSpec): readonly LaunchOp[] {
  return Object.keys(spec.sysctls).length === 0 ? [] : [["hold-sysctls"]];
}

export function planSysctls(spec: ContainerSpec): readonly LaunchOp[] {
  const has = (type: string) => spec.namespaces.some((namespace) => namespace.type === type);
  const writes = Object.entries(spec.sysctls).flatMap(([name, value]) => {
    const path = sysctlPath(name);
    const scope = sysctlScope(name);
    if (path === undefined || scope === undefined)
      throw new LaunchError(`sysctl ${name}: not a setting of a container's namespaces`, 128);
    if (!has(scope))
      throw new LaunchError(`sysctl ${name}: needs a ${scope} namespace, the container uses the node's`, 128);
    return [path.slice("/proc/sys/".length), value];
  });
  return writes.length === 0 ? [] : [["sysctls", ...writes]];
}

/** The file of a sysctl's name; undefined for a name that is none. */
export function sysctlPath(name: string): string | undefined {
  if (!/^[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_:@-]+)+$/.test(name)) return undefined;
  // As sysctl(8): with a slash first, dots belong to names such as interfaces'.
  return `/proc/sys/${name.includes("/") ? name : name.replaceAll(".", "/")}`;
}

export function sysctlScope(name: string): "network" | "ipc" | "uts" | undefined {
  const dotted = name.replaceAll("/", ".");
  if (dotted.startsWith("net.")) return "network";
  if (/^kernel\.(?:shm|msg|sem)/.test(dotted) || dotted.startsWith("fs.mqueue.")) return "ipc";
  return dotted === "kernel.domainname" ? "uts" : undefined;
}
