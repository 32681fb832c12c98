// Single mounts of a launch plan: the root, what a spec asks for, and what the monitor opens for a child that does not see the host's
// files. Pure.
import type { LaunchOp } from "./launch-op.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { type ContainerSpec, type IdMapping, LaunchError, type Mount } from "./runtime.ts";

/** Sources that go on sharing mounts with the host are taken before everything else becomes the container's own. */
export function planHold(mount: Mount): readonly LaunchOp[] {
  return isHeld(options(mount)) ? [planHoldBind(mount)] : [];
}

/** What goes on sharing mounts with the host. */
function isHeld({ bind, propagation }: MountOptions): boolean {
  return bind !== undefined && (propagation === "shared" || propagation === "slave");
}

/** File systems that are made of nothing. Every other one needs what only the host's root shows: layers, devices. */
const freshTypes = ["proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "cgroup", "cgroup2"];

export function isHandedOver(mount: Mount): boolean {
  return options(mount).bind !== undefined || !freshTypes.includes(mount.type);
}

/** What the monitor opens or mounts for the child to place. */
export function planHeld(mount: Mount, rootfsPath: string): readonly LaunchOp[] {
  const parsed = options(mount);
  if (!isHandedOver(mount)) return [];
  return parsed.bind === undefined
    ? [["hold-mount", rootfsPath, mount.type, mount.source, words(parsed), parsed.data, mount.destination]]
    : [planHoldBind(mount)];
}

function planHoldBind(mount: Mount): LaunchOp {
  return ["hold", mount.source, mount.subPath ?? "", mount.destination, words(options(mount))];
}

/** As the monitor does it for a child that does not see the host's files. */
export function planHeldRoot(spec: ContainerSpec, target: string): readonly LaunchOp[] {
  return planRootfs(spec, target).map(
    ([name, ...args]): LaunchOp => (name === "rootfs" ? ["hold-mount", ...args, "/"] : [name, ...args]),
  );
}

export function planRootfs({ rootfs, idMapping }: ContainerSpec, target: string): readonly LaunchOp[] {
  const parsed = options(rootfs);
  const type = parsed.bind === undefined ? rootfs.type : "bind";
  if (idMapping === undefined) return [["rootfs", target, type, rootfs.source, words(parsed), parsed.data]];
  // Layers are shared, so their users are mapped; what the container writes is its own.
  const upper = parsed.data.split(",").find((option) => option.startsWith("upperdir="));
  return [
    ...(upper === undefined ? [] : [["own", upper.slice("upperdir=".length), idMapping.hostId] satisfies LaunchOp]),
    ["rootfs", target, type, rootfs.source, words({ ...parsed, idmap: "plain" }), parsed.data],
  ];
}

export function planMount(mount: Mount, idMapping?: IdMapping): LaunchOp {
  const parsed = options(mount);
  if (parsed.idmap !== undefined && idMapping === undefined)
    throw new LaunchError(`mount ${mount.destination}: idmap needs a user namespace`, 128);
  if (isHeld(parsed)) return ["place"];
  if (parsed.bind !== undefined) return ["bind", mount.source, mount.subPath ?? "", mount.destination, words(parsed)];
  const data = idMapping === undefined ? parsed.data : mappedData(mount.type, parsed.data, idMapping.hostId);
  return ["mount", mount.type, mount.source, mount.destination, words(parsed), data];
}

/** Numbers that mean the container's users, as the host's root has to write them. */
function mappedData(type: string, data: string, hostId: number): string {
  const given = data.split(",").filter((option) => option !== "");
  if (type !== "tmpfs" && type !== "devpts") return data;
  const mapped = given.map((option) =>
    option.replace(/^([ug]id)=(\d+)$/, (_, name, id) => `${name}=${Number(id) + hostId}`),
  );
  const missing =
    type === "tmpfs" ? ["uid", "gid"].filter((name) => !given.some((option) => option.startsWith(`${name}=`))) : [];
  return [...mapped, ...missing.map((name) => `${name}=${hostId}`)].join(",");
}

/** Programs such as lxcfs make these files say what a container has. Source: runc, libcontainer/rootfs_linux.go, checkProcMount. */
export const coverable = [
  ...["cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"],
  ...["sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"],
].map((name) => `/proc/${name}`);

const parsedOptions = new WeakMap<Mount, MountOptions>();

/** Of default mounts they are asked for at every start. */
function options(mount: Mount): MountOptions {
  const known = parsedOptions.get(mount) ?? parseOptions(mount);
  parsedOptions.set(mount, known);
  return known;
}

function parseOptions(mount: Mount): MountOptions {
  const parsed = parseMountOptions(mount);
  const { destination } = mount;
  const refuse = (why: string) => new LaunchError(`mount ${destination}: ${why}`, 128);
  if (typeof parsed === "string") throw refuse(parsed);
  if (!destination.startsWith("/")) throw refuse("the destination is not an absolute path");
  const names = destination.split("/").filter((name) => name !== "" && name !== ".");
  const path = `/${names.join("/")}`;
  if (path.startsWith("/proc/") && !coverable.includes(path)) throw refuse("nothing may be mounted inside of /proc");
  return parsed;
}

function words({ attributes, bind, propagation, idmap }: MountOptions): string {
  return [
    ...attributes,
    ...(bind === "recursive" ? ["recursive"] : []),
    ...(propagation === "private" ? [] : [propagation]),
    ...(idmap === undefined ? [] : [idmap === "recursive" ? "ridmap" : "idmap"]),
  ].join(" ");
}
