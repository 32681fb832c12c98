// What a container's limits mean in cgroup files, on version 1 (one tree per controller) and version 2. Pure: the launcher writes.
import { limitsV1, limitsV2, rareControllers } from "./cgroup-limits.ts";
import { allowedDevices } from "./defaults.ts";
import type { ContainerSpec, DeviceRule, Resources } from "./runtime.ts";

/** Where this machine has its cgroup trees. */
export type CgroupLayout =
  | { readonly version: 1; readonly mounts: Readonly<Record<string, string>> }
  | { readonly version: 2; readonly mount: string };

export interface CgroupWrite {
  readonly path: string;
  readonly value: string;
  /** What a kernel may lack, or a node may not be allowed. */
  readonly optional: boolean;
}

export interface CgroupPlan {
  /** The container's directories, one per tree. */
  readonly directories: readonly string[];
  readonly writes: readonly CgroupWrite[];
  /** v1: the child writes "0" into each; v2: clone puts it into the directory. */
  readonly join:
    | { readonly type: "tasks"; readonly files: readonly string[] }
    | { readonly type: "into"; readonly directory: string };
  readonly oom: { readonly path: string; readonly key: string } | undefined;
  /** v2 has no files for this: a program attached to the cgroup decides. */
  readonly deviceFilter: boolean;
  /** What a container finds below /sys/fs/cgroup: its own directory of each tree, "" for the place itself; links to it. */
  readonly seen: readonly { readonly name: string; readonly links: readonly string[]; readonly directory: string }[];
}

export interface SharedDevices {
  readonly directory: string;
  readonly writes: readonly CgroupWrite[];
}

export interface CgroupRequest {
  /** Slash-separated, such as "/naru-demo/node1". */
  readonly parent: string;
  /** Below the parent. */
  readonly path: string;
  readonly resources: Resources;
  /** Of the cgroup above `path`. */
  readonly above?: Resources;
  readonly allDevices: boolean;
  readonly devices?: readonly DeviceRule[];
}

export const controllersWanted: readonly string[] = [
  "cpu",
  "cpuacct",
  "memory",
  "pids",
  "devices",
  "freezer",
  "hugetlb",
];
const controllersV2: readonly string[] = ["cpu", "memory", "pids", "hugetlb"];

/** Reads /proc/self/mountinfo (proc(5)). Undefined when there are no cgroups. */
export function detectCgroups(mountinfo: string, controllers = controllersWanted): CgroupLayout | undefined {
  const mounts: Record<string, string> = {};
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const path = left
      ?.split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    const [type, , options] = right?.split(" ") ?? [];
    if (path === undefined) continue;
    if (type === "cgroup2") unified ??= path;
    if (type !== "cgroup") continue;
    for (const name of options?.split(",") ?? []) if (controllers.includes(name)) mounts[name] ??= path;
  }
  if (mounts["memory"] !== undefined || mounts["pids"] !== undefined) return { version: 1, mounts };
  return unified === undefined ? undefined : { version: 2, mount: unified };
}

/** Every tree of this machine once, also those that nothing here limits: other runtimes make cgroups in all of them. */
export function detectAllCgroups(mountinfo: string): CgroupLayout | undefined {
  const known = detectCgroups(mountinfo);
  if (known?.version !== 1) return known;
  const mounts = new Map<string, string>();
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const [, , device = "", , path = ""] = left?.split(" ") ?? [];
    if (/^cgroup2? /.test(right ?? "") && !mounts.has(device)) mounts.set(device, path);
  }
  return { version: 1, mounts: Object.fromEntries(mounts) };
}

/** Every directory of `path` in the trees, one per tree. */
export function cgroupDirectories(layout: CgroupLayout, path: string): readonly string[] {
  const mounts = layout.version === 1 ? Object.values(layout.mounts) : [layout.mount];
  return [...new Set(mounts)].map((mount) => join(mount, path));
}

export function planCgroup(layout: CgroupLayout, request: CgroupRequest): CgroupPlan {
  return layout.version === 1 ? planV1(layout.mounts, request) : planV2(layout.mount, request);
}

/** Limits changed while processes live under them. */
export function planUpdate(
  layout: CgroupLayout,
  parent: string,
  spec: Pick<ContainerSpec, "cgroupPath" | "resources" | "resourcesAbove">,
): Pick<CgroupPlan, "directories" | "writes"> {
  const path = join(parent, spec.cgroupPath);
  const limits = (of: string, resources: Resources) =>
    layout.version === 1 ? limitsV1(layout.mounts, of, resources) : limitsV2(join(layout.mount, of), resources);
  const above = spec.resourcesAbove === undefined ? [] : limits(dirname(path), spec.resourcesAbove);
  return {
    directories: cgroupDirectories(layout, path),
    // No limit may lie above the one over it: growing works in this order, shrinking at the second try.
    writes: [...above, ...limits(path, spec.resources)],
  };
}

export interface ParentPlan {
  readonly directories: readonly string[];
  /** v2: what the cgroups above need first. */
  readonly passOn: readonly CgroupWrite[];
  readonly writes: readonly CgroupWrite[];
}

/** Limits of the cgroup above all containers of a node. */
export function planParent(layout: CgroupLayout, parent: string, resources: Resources): ParentPlan {
  const directories = cgroupDirectories(layout, parent);
  if (layout.version === 1) return { directories, passOn: [], writes: limitsV1(layout.mounts, parent, resources) };
  return {
    directories,
    passOn: passOn(layout.mount, parent),
    writes: limitsV2(join(layout.mount, parent), resources),
  };
}

/** v1: most containers may use the same devices, so they share one cgroup of that tree, made once. */
export function planSharedDevices(layout: CgroupLayout, parent: string): SharedDevices | undefined {
  if (layout.version !== 1) return undefined;
  const { devices } = layout.mounts;
  if (devices === undefined || !sharesDevices(layout.mounts)) return undefined;
  const directory = join(devices, parent, "default-devices");
  return { directory, writes: deviceWrites(directory, allowedDevices) };
}

function deviceWrites(directory: string, devices: readonly DeviceRule[]): readonly CgroupWrite[] {
  const allow = devices.map(({ type, major, minor, access }) => `${type} ${major ?? "*"}:${minor ?? "*"} ${access}`);
  return [
    { path: join(directory, "devices.deny"), value: "a", optional: false },
    ...allow.map((value) => ({ path: join(directory, "devices.allow"), value, optional: false })),
  ];
}

function planV1(mounts: Readonly<Record<string, string>>, request: CgroupRequest): CgroupPlan {
  const path = join(request.parent, request.path);
  const { devices } = mounts;
  const shared = usesUsualDevices(request) ? planSharedDevices({ version: 1, mounts }, request.parent) : undefined;
  const directories = cgroupDirectories(ownTrees({ version: 1, mounts }, request), path);
  return {
    directories,
    writes: [
      ...(request.above === undefined ? [] : limitsV1(mounts, dirname(path), request.above)),
      ...limitsV1(mounts, path, request.resources),
      ...(request.allDevices || shared !== undefined || devices === undefined
        ? []
        : deviceWrites(join(devices, path), [...allowedDevices, ...(request.devices ?? [])])),
    ],
    // "tasks", not "cgroup.procs": a process that moves itself alone need not wait until no other one forks.
    join: {
      type: "tasks",
      files: [...directories, ...(shared === undefined ? [] : [shared.directory])].map((to) => join(to, "tasks")),
    },
    oom:
      mounts["memory"] === undefined
        ? undefined
        : { path: join(mounts["memory"], path, "memory.oom_control"), key: "oom_kill" },
    deviceFilter: false,
    seen: seenV1(mounts, path),
  };
}

type DeviceRequest = Pick<CgroupRequest, "allDevices" | "devices">;

function usesUsualDevices({ allDevices, devices = [] }: DeviceRequest): boolean {
  return !allDevices && devices.length === 0;
}

/** Those in which a container has a directory of its own. */
export function ownTrees(layout: CgroupLayout, request: DeviceRequest): CgroupLayout {
  if (layout.version === 2 || !usesUsualDevices(request) || !sharesDevices(layout.mounts)) return layout;
  const { devices, ...mounts } = layout.mounts;
  return { version: 1, mounts };
}

/** Where that tree has no other controller. */
function sharesDevices({ devices, ...others }: Readonly<Record<string, string>>): boolean {
  return devices !== undefined && !Object.values(others).includes(devices);
}

/** What programs read to learn their limits. */
const controllersSeen = ["cpu", "cpuacct", "memory", "pids"];

/** Trees by the names that programs look for; one tree may hold several controllers. */
function seenV1(mounts: Readonly<Record<string, string>>, path: string): CgroupPlan["seen"] {
  const trees = new Map<string, string[]>();
  for (const [controller, mount] of Object.entries(mounts)) {
    if (!controllersSeen.includes(controller)) continue;
    const name = mount.slice(mount.lastIndexOf("/") + 1);
    trees.set(mount, [...(trees.get(mount) ?? [name]), ...(controller === name ? [] : [controller])]);
  }
  return [...trees].map(([mount, [name = "", ...links]]) => ({ name, links, directory: join(mount, path) }));
}

function planV2(mount: string, request: CgroupRequest): CgroupPlan {
  const path = join(request.parent, request.path);
  const directory = join(mount, path);
  return {
    directories: [directory],
    writes: [
      ...passOn(mount, path, [...controllersV2, ...rareControllers(request.resources, 2)]),
      ...(request.above === undefined ? [] : limitsV2(dirname(directory), request.above)),
      ...limitsV2(directory, request.resources),
      { path: join(directory, "memory.oom.group"), value: "1", optional: true },
    ],
    join: { type: "into", directory },
    oom: { path: join(directory, "memory.events"), key: "oom_kill" },
    deviceFilter: !request.allDevices,
    seen: [{ name: "", links: [], directory }],
  };
}

/** Version 2: every cgroup above `path` must pass the controllers on. */
export function passOn(
  mount: string,
  path: string,
  controllers: readonly string[] = controllersV2,
): readonly CgroupWrite[] {
  const names = path.split("/").filter((name) => name !== "");
  return [...names.keys()].flatMap((i) =>
    controllers.map((controller) => ({
      path: join(mount, ...names.slice(0, i), "cgroup.subtree_control"),
      value: `+${controller}`,
      optional: true,
    })),
  );
}

/** What freezes or thaws everything in a container, and how it says that it has happened. Undefined where the kernel cannot. */
export function planFreeze(layout: CgroupLayout, path: string, wanted: "frozen" | "thawed"): FreezePlan | undefined {
  const frozen = wanted === "frozen";
  if (layout.version === 2) {
    const directory = join(layout.mount, path);
    return {
      write: { path: join(directory, "cgroup.freeze"), value: frozen ? "1" : "0" },
      done: { path: join(directory, "cgroup.events"), line: `frozen ${frozen ? 1 : 0}` },
    };
  }
  const mount = layout.mounts["freezer"];
  if (mount === undefined) return undefined;
  const state = join(mount, path, "freezer.state");
  const word = frozen ? "FROZEN" : "THAWED";
  return { write: { path: state, value: word }, done: { path: state, line: word } };
}

export interface FreezePlan {
  readonly write: { readonly path: string; readonly value: string };
  readonly done: { readonly path: string; readonly line: string };
}

function dirname(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function join(first: string, ...parts: readonly string[]): string {
  let path = first;
  for (const part of parts) path += part.startsWith("/") || path.endsWith("/") ? part : `/${part}`;
  return path.includes("//") ? path.replaceAll(/\/+/g, "/") : path;
}
