// Launch plans: what has to be done, one system call or few at a time, to get from a container's spec to its running process.
// Pure. The launcher performs the ops in this order (node-agent/launcher/README.md lists them).
import type { CgroupPlan } from "./cgroups.ts";
import { capabilityNames, type Device, defaultDevices, defaultLinks, defaultMounts } from "./defaults.ts";
import type { FrameField } from "./frames.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { type ContainerSpec, type ExecRequest, type IdMapping, LaunchError, type Mount } from "./runtime.ts";

/** An op's name and arguments. */
export type LaunchOp = readonly [name: string, ...args: FrameField[]];

export interface LaunchContext {
  /** An empty directory of the host on which the root is mounted, in the container's mount namespace only. */
  readonly rootfsPath: string;
  readonly cgroup: CgroupPlan | undefined;
  /** Where the cgroup plan asks for one. */
  readonly deviceFilter: Buffer | undefined;
  /** Absent: no filter. */
  readonly seccompFilter: Buffer | undefined;
  readonly logFileBytesMax: number;
  readonly logFilesMax: number;
  /** A privileged container's, besides the default ones. */
  readonly hostDevices: readonly Device[];
  /** Nothing of its output is read before someone attached. */
  readonly holdOutput?: boolean;
}

/** The process whose namespaces an exec enters. */
export interface ExecTarget {
  readonly pid: number;
  /** Clock ticks after boot, so that a reused number is not taken for it. */
  readonly startTicks: string;
}

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

/**
 * Throws LaunchError for what a spec asks and cannot have. It begins with what containers of a kind have in common, so that a sandbox that
 * has come so far may wait for it (`commonOps`).
 */
export function planLaunch(spec: ContainerSpec, context: LaunchContext): readonly LaunchOp[] {
  const { cgroup } = context;
  const made = [...planCgroupMake(context), ...planCgroupUse(context)];
  const early = cgroup?.join.type === "into";
  const staged = stageOf(spec, cgroup);
  // A user namespace that is entered later would give all of it back.
  const [ahead, bounding] = spec.idMapping === undefined ? [planBounding(spec), []] : [[], planBounding(spec)];
  return [
    ...(early ? made : []),
    ...planStdio(spec),
    ...planClone(spec),
    ["die-with-monitor"],
    ...planOwner(spec),
    ...(isOwn(spec, "network") ? [["loopback"] satisfies LaunchOp] : []),
    ["staging"],
    ...planStage(spec, context, staged.early),
    ...ahead,
    ["monitor"],
    ...(context.holdOutput === true ? [["hold-output"] satisfies LaunchOp] : []),
    ...(spec.logPath === undefined
      ? []
      : [["log", spec.logPath, context.logFileBytesMax, context.logFilesMax] satisfies LaunchOp]),
    ...(early ? [] : made),
    ...joinFiles(cgroup).map((file): LaunchOp => ["hold-file", file]),
    ...planHeldNamespaces(spec),
    ...planHeldRoot(spec, context.rootfsPath),
    ...ownMounts(spec, cgroup).flatMap((mount) => planHeld(mount, context.rootfsPath)),
    ["hand-over"],
    ...joinFiles(cgroup).map((): LaunchOp => ["write-held", "0"]),
    ...planNamespaces(spec),
    ...planSysctls(spec),
    planOomScore(spec),
    ...planStage(spec, context, staged.late),
    ["root"],
    ...planFiles(spec, context, staged),
    ["pivot"],
    ...planProcess(spec, context.seccompFilter, { enterUsers: ["enter-users"], bounding }),
    ["exec", spec.args.length, ...spec.args, ...spec.env],
  ];
}

/** The beginning of a launch plan that other containers' plans may share; undefined where a sandbox cannot wait for the rest. */
export function commonOps(ops: readonly LaunchOp[]): readonly LaunchOp[] | undefined {
  const end = ops.findIndex(([name]) => name === "monitor");
  // Version 2's cgroups are entered by clone; and what another runtime makes begins otherwise.
  return end === -1 || ops.slice(0, end).some(([name]) => name === "into-cgroup") ? undefined : ops.slice(0, end);
}

/** Another process in a running container, with the same limits. */
export function planExec(
  spec: ContainerSpec,
  target: ExecTarget,
  request: ExecRequest,
  context: Pick<LaunchContext, "cgroup" | "seccompFilter">,
): readonly LaunchOp[] {
  const types = new Set(spec.namespaces.map(({ type }) => type));
  const entered = ["mount", ...(["network", "ipc", "uts", "cgroup"] as const).filter((type) => types.has(type))];
  const { cgroup } = context;
  return [
    ["stdio", request.terminal ? "terminal" : "pipe", request.stdin ? "1" : "0"],
    ...(cgroup?.join.type === "into" ? [["into-cgroup", cgroup.join.directory] satisfies LaunchOp] : []),
    ["target", target.pid, target.startTicks],
    ...(types.has("pid") ? [["enter", "pid"] satisfies LaunchOp] : []),
    ["clone", ""],
    ...joinCgroup(cgroup),
    planOomScore(spec),
    ["enter", entered.join(" ")],
    ...(request.terminal ? [["terminal", "0"] satisfies LaunchOp] : []),
    ...planProcess(execSpec(spec, request), request.privileged === true ? undefined : context.seccompFilter, {
      enterUsers: ["enter", "user"],
      bounding: planBounding(execSpec(spec, request)),
    }),
    ["exec", request.args.length, ...request.args, ...mergeEnv(spec.env, request.env ?? [])],
  ];
}

/** Who starts it is spared by the kernel when memory runs out, which a container must not inherit. */
function planOomScore({ resources }: ContainerSpec): LaunchOp {
  return ["try-write", "/proc/self/oom_score_adj", resources.oomScoreAdj ?? 0];
}

function execSpec(spec: ContainerSpec, request: ExecRequest): ContainerSpec {
  return {
    ...spec,
    cwd: request.cwd ?? spec.cwd,
    user: request.user ?? spec.user,
    privileged: spec.privileged || request.privileged === true,
  };
}

function planStdio(spec: ContainerSpec): readonly LaunchOp[] {
  // Pipes also without a log: someone may attach.
  return [["stdio", spec.terminal ? "terminal" : "pipe", spec.stdin ? "1" : "0"]];
}

/** Nothing of it does harm when it is there already. */
export function planCgroupMake({
  cgroup,
  deviceFilter,
}: Pick<LaunchContext, "cgroup" | "deviceFilter">): readonly LaunchOp[] {
  if (cgroup === undefined) return [];
  const [directory] = cgroup.directories;
  return [
    ...cgroup.directories.map((path): LaunchOp => ["make-directory", path]),
    ...cgroup.writes.map(({ path, value, optional }): LaunchOp => [optional ? "try-write" : "write", path, value]),
    ...(cgroup.deviceFilter && deviceFilter !== undefined && directory !== undefined
      ? [["device-filter", directory, deviceFilter] satisfies LaunchOp]
      : []),
  ];
}

export function planCgroupUse({ cgroup }: Pick<LaunchContext, "cgroup">): readonly LaunchOp[] {
  if (cgroup === undefined) return [];
  return [
    ...(cgroup.oom === undefined ? [] : [["oom-counter", cgroup.oom.path, cgroup.oom.key] satisfies LaunchOp]),
    ...(cgroup.join.type === "into" ? [["into-cgroup", cgroup.join.directory] satisfies LaunchOp] : []),
  ];
}

function planClone(spec: ContainerSpec): readonly LaunchOp[] {
  const pid = spec.namespaces.find(({ type }) => type === "pid");
  const made = spec.namespaces.filter(
    ({ type, path }) => path === undefined && !["cgroup", "mount", "user"].includes(type),
  );
  return [
    ...(pid?.path === undefined ? [] : [["pid-namespace", pid.path] satisfies LaunchOp]),
    ["clone-apart", ["mount", ...new Set(made.map(({ type }) => type))].join(" ")],
  ];
}

/** Version 1: a process moves itself by writing to these. */
function joinFiles(cgroup: CgroupPlan | undefined): readonly string[] {
  return cgroup?.join.type === "tasks" ? cgroup.join.files : [];
}

export function joinCgroup(cgroup: CgroupPlan | undefined): readonly LaunchOp[] {
  return joinFiles(cgroup).map((file): LaunchOp => ["write", file, "0"]);
}

function isOwn(spec: ContainerSpec, type: string): boolean {
  return spec.namespaces.some((namespace) => namespace.type === type && namespace.path === undefined);
}

function isJoined(spec: ContainerSpec, type: string): boolean {
  return spec.namespaces.some((namespace) => namespace.type === type && namespace.path !== undefined);
}

function joinedNamespaces({ namespaces }: ContainerSpec): ContainerSpec["namespaces"] {
  return namespaces.filter(({ type, path }) => path !== undefined && !["pid", "mount", "user"].includes(type));
}

/** What the monitor opens of them, as the child does not see the host's files. */
function planHeldNamespaces(spec: ContainerSpec): readonly LaunchOp[] {
  const users = usersOf(spec);
  return [
    ...joinedNamespaces(spec).map(({ path }): LaunchOp => ["hold-namespace", path ?? ""]),
    ...(users === undefined ? [] : [["hold-users", users[0]] satisfies LaunchOp]),
  ];
}

function planNamespaces(spec: ContainerSpec): readonly LaunchOp[] {
  return [
    ...joinedNamespaces(spec).map(({ type }): LaunchOp => ["enter-held", type]),
    ...(spec.namespaces.some(({ type }) => type === "user") ? [["users-held"] satisfies LaunchOp] : []),
    // After it joined its cgroup, which so becomes the "/" that it sees.
    ...(isOwn(spec, "cgroup") ? [["unshare", "cgroup"] satisfies LaunchOp] : []),
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

function planOwner(spec: ContainerSpec): readonly LaunchOp[] {
  const users = usersOf(spec);
  return users === undefined ? [] : [["make-for", users[1]]];
}

/** Only those that belong to one of its namespaces: others would change the node. */
function planSysctls(spec: ContainerSpec): readonly LaunchOp[] {
  const has = (type: string) => spec.namespaces.some((namespace) => namespace.type === type);
  return Object.entries(spec.sysctls).map(([name, value]) => {
    const path = sysctlPath(name);
    const scope = sysctlScope(name);
    if (path === undefined || scope === undefined)
      throw new LaunchError(`sysctl ${name}: not a setting of a container's namespaces`, 128);
    if (!has(scope))
      throw new LaunchError(`sysctl ${name}: needs a ${scope} namespace, the container uses the node's`, 128);
    return ["write", path, value];
  });
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

function isHandedOver(mount: Mount): boolean {
  return options(mount).bind !== undefined || !freshTypes.includes(mount.type);
}

/** What the monitor opens or mounts for the child to place. */
function planHeld(mount: Mount, rootfsPath: string): readonly LaunchOp[] {
  const parsed = options(mount);
  if (!isHandedOver(mount)) return [];
  return parsed.bind === undefined
    ? [["hold-mount", rootfsPath, mount.type, mount.source, words(parsed), parsed.data, mount.destination]]
    : [planHoldBind(mount)];
}

function planHoldBind(mount: Mount): LaunchOp {
  return ["hold", mount.source, mount.subPath ?? "", mount.destination, words(options(mount))];
}

/** What is prepared where there is no root yet, and is carried there with all that lies below it. */
interface Stage {
  /** Whole before anything of this one container is known; and what needs namespaces that it joins. */
  readonly early: StagePart;
  readonly late: StagePart;
  readonly carried: readonly string[];
  /** Whether places of the container's own cgroups are there too. */
  readonly cgroups: boolean;
  readonly isMasked: (path: string) => boolean;
}

interface StagePart {
  readonly mounts: readonly Mount[];
  readonly devices: boolean;
  readonly cgroups: boolean;
  readonly tops: readonly string[];
}

const tops = ["/proc", "/dev", "/sys"];

/** Whether a path is another or lies below it. */
function isBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}

function stageOf(spec: ContainerSpec, cgroup: CgroupPlan | undefined): Stage {
  const taken = new Set(spec.mounts.map(({ destination }) => plain(destination)));
  const carried = tops.filter((top) => !taken.has(top));
  const mounts = defaultMountsOf(spec).filter(({ destination }) => carried.some((top) => isBelow(destination, top)));
  const needsJoined = ({ type }: Mount) =>
    (type === "sysfs" && isJoined(spec, "network")) || (type === "mqueue" && isJoined(spec, "ipc"));
  const late = mounts.filter(needsJoined);
  const lateTops = carried.filter((top) => late.some(({ destination }) => destination === top));
  // What a volume shows below /proc or /sys is masked too, so there masks come last.
  const shown = carried.filter((top) =>
    [...taken].every((path) => !isBelow(path, top) || isBelow(path, cgroupsPath) || coverable.includes(path)),
  );
  const cgroups =
    carried.includes("/sys") &&
    cgroupDirectoriesSeen(cgroup).length > 0 &&
    ![...taken].some((path) => isBelow(path, cgroupsPath));
  return {
    cgroups,
    early: {
      mounts: mounts.filter((mount) => !needsJoined(mount)),
      devices: carried.includes("/dev"),
      cgroups: cgroups && !lateTops.includes("/sys"),
      tops: shown.filter((top) => !lateTops.includes(top)),
    },
    late: {
      mounts: late,
      devices: false,
      cgroups: cgroups && lateTops.includes("/sys"),
      tops: shown.filter((top) => lateTops.includes(top)),
    },
    carried,
    isMasked: (path) => shown.some((top) => isBelow(path, top)),
  };
}

function planStage(spec: ContainerSpec, context: LaunchContext, part: StagePart): readonly LaunchOp[] {
  return [
    ...part.mounts.map((mount) => planMount(mount, spec.idMapping)),
    ...(part.devices ? planDevices(spec, context) : []),
    ...(part.cgroups ? planCgroupPlaces(spec, context) : []),
    ...planMasks(spec, (path) => part.tops.some((top) => isBelow(path, top))),
  ];
}

/** Version 1: a tree for each controller, which differ; their places don't. */
function planCgroupPlaces(spec: ContainerSpec, context: LaunchContext): readonly LaunchOp[] {
  const places = cgroupMounts(spec, context.cgroup).filter(({ type }) => type !== "bind");
  return [
    ...places.map((mount) => planMount(mount, spec.idMapping)),
    ...cgroupDirectoriesSeen(context.cgroup).map(({ name }): LaunchOp => ["directory", `${cgroupsPath}/${name}`]),
    ...planCgroupLinks(spec, context),
  ];
}

function planDevices(spec: ContainerSpec, context: LaunchContext): readonly LaunchOp[] {
  const devices = [...defaultDevices, ...(spec.privileged ? context.hostDevices : []), ...(spec.devices ?? [])];
  return [
    ...devices.map(
      ({ path, type, major, minor, mode }, i): LaunchOp => [
        ...(["device", path, type, major, minor, mode] as const),
        // The host's own, such as disks, stay its root's, who is nobody inside.
        ...(spec.idMapping === undefined || i >= defaultDevices.length
          ? []
          : [spec.idMapping.hostId, spec.idMapping.hostId]),
      ],
    ),
    ...defaultLinks.map(([target, path]): LaunchOp => ["symlink", target, path]),
  ];
}

function planMasks(spec: ContainerSpec, wanted: (path: string) => boolean): readonly LaunchOp[] {
  if (spec.privileged) return [];
  return [
    ...spec.maskedPaths.filter(wanted).map((path): LaunchOp => ["mask", path]),
    ...spec.readonlyPaths.filter(wanted).map((path): LaunchOp => ["readonly", path]),
  ];
}

function planFiles(spec: ContainerSpec, context: LaunchContext, stage: Stage): readonly LaunchOp[] {
  const { cgroup } = context;
  const staged = new Set([...stage.early.mounts, ...stage.late.mounts].map(({ destination }) => destination));
  const defaults = defaultMountsOf(spec).filter(({ destination }) => !staged.has(destination));
  const isLeft = ({ destination }: Mount) => !stage.cgroups || destination !== cgroupsPath;
  const carried = stage.carried.map((destination) => ({ destination, op: ["carry", destination] satisfies LaunchOp }));
  const own = sortByDepth(
    [...defaults, ...ownMounts(spec, cgroup).filter(isLeft)].map((mount) => withOp(mount, spec.idMapping)),
  );
  const tmpfsDev = spec.mounts.find(({ destination }) => plain(destination) === "/dev")?.type === "tmpfs";
  return [
    ...sortByDepth([...carried, ...own]).map(({ op }) => op),
    ...(tmpfsDev ? planDevices(spec, context) : []),
    ...(ownCgroups(spec) && !stage.cgroups ? planCgroupLinks(spec, context) : []),
    ...(spec.terminal ? [["terminal", "1"] satisfies LaunchOp] : []),
    ...(spec.cwd === "" ? [] : [["directory", spec.cwd] satisfies LaunchOp]),
    ...planMasks(spec, (path) => !stage.isMasked(path)),
    ...(spec.readonlyRootfs ? [["readonly-mount", "/"] satisfies LaunchOp] : []),
  ];
}

function withOp(
  mount: Mount,
  idMapping: IdMapping | undefined,
): { readonly destination: string; readonly op: LaunchOp } {
  const { destination } = mount;
  return { destination, op: isHandedOver(mount) ? ["place", destination] : planMount(mount, idMapping) };
}

/** What lies deeper comes later, so that nothing gets covered: a volume at / of /proc's kind cannot hide /proc either. */
function sortByDepth<T extends { readonly destination: string }>(mounts: readonly T[]): readonly T[] {
  const depths = new Map(mounts.map((mount) => [mount, depthOf(mount.destination)]));
  return mounts.toSorted((a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0));
}

/** Names in a path. */
function depthOf(path: string): number {
  let depth = 0;
  for (let i = 0; i < path.length; i++) if (path[i] !== "/" && (i === 0 || path[i - 1] === "/")) depth++;
  return depth;
}

function plain(destination: string): string {
  return destination.endsWith("/") ? destination.replace(/(?<=.)\/+$/, "") : destination;
}

function defaultMountsOf(spec: ContainerSpec): readonly Mount[] {
  const taken = new Set(spec.mounts.map(({ destination }) => plain(destination)));
  return defaultMounts
    .filter(({ destination }) => !taken.has(destination))
    .map((mount) =>
      spec.privileged && mount.type === "sysfs"
        ? { ...mount, options: mount.options.filter((option) => option !== "ro") }
        : mount,
    );
}

/** Besides the default ones; in the order in which they are placed. */
function ownMounts(spec: ContainerSpec, cgroup: CgroupPlan | undefined): readonly Mount[] {
  return sortByDepth([...(ownCgroups(spec) ? cgroupMounts(spec, cgroup) : []), ...spec.mounts]);
}

const cgroupsPath = "/sys/fs/cgroup";

/** A spec may bring others. */
function ownCgroups(spec: ContainerSpec): boolean {
  return !spec.mounts.some(({ destination }) => destination === cgroupsPath);
}

/** A container's own cgroups, so that programs find their limits where they look; nothing of the node's. */
export function cgroupMounts(
  spec: Pick<ContainerSpec, "privileged">,
  cgroup: CgroupPlan | undefined,
): readonly Mount[] {
  const flags = ["nosuid", "noexec", "nodev"];
  const seen = cgroup?.seen ?? [];
  const binds = seen.map(({ name, directory }) => ({
    destination: name === "" ? cgroupsPath : `${cgroupsPath}/${name}`,
    type: "bind",
    source: directory,
    options: ["bind", ...flags, ...(spec.privileged ? [] : ["ro"])],
  }));
  if (seen.every(({ name }) => name === "")) return binds;
  // Version 1 has a tree for each controller.
  return [
    { destination: cgroupsPath, type: "tmpfs", source: "tmpfs", options: [...flags, "mode=755", "size=64k"] },
    ...binds,
  ];
}

function cgroupDirectoriesSeen(cgroup: CgroupPlan | undefined): CgroupPlan["seen"] {
  return (cgroup?.seen ?? []).filter(({ name }) => name !== "");
}

export function planCgroupLinks(
  spec: Pick<ContainerSpec, "privileged">,
  { cgroup }: Pick<LaunchContext, "cgroup">,
): readonly LaunchOp[] {
  const seen = cgroupDirectoriesSeen(cgroup);
  return [
    ...seen.flatMap(({ name, links }) => links.map((link): LaunchOp => ["symlink", name, `${cgroupsPath}/${link}`])),
    ...(seen.length === 0 || spec.privileged ? [] : [["readonly-mount", cgroupsPath] satisfies LaunchOp]),
  ];
}

/** As the monitor does it for a child that does not see the host's files. */
function planHeldRoot(spec: ContainerSpec, target: string): readonly LaunchOp[] {
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
const coverable = [
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

/** What the container can never have again. */
function planBounding(spec: ContainerSpec): readonly LaunchOp[] {
  return [["bounding", capabilityMaskOf(spec)]];
}

function capabilityMaskOf({ privileged, capabilities }: ContainerSpec): string {
  return capabilityMask(privileged ? capabilityNames : capabilities);
}

function planProcess(
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
