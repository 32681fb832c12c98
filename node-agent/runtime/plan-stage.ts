// All files of a container in its launch plan: what is prepared on a stage before its root is there, what comes after, and in which order.
// Pure.
import type { CgroupPlan } from "./cgroups.ts";
import { defaultDevices, defaultLinks, defaultMounts } from "./defaults.ts";
import type { LaunchContext, LaunchOp } from "./launch-op.ts";
import { cgroupDirectoriesSeen, cgroupMounts, cgroupsPath, ownCgroups, planCgroupLinks } from "./plan-cgroups.ts";
import { coverable, isHandedOver, planMount } from "./plan-mounts.ts";
import { isJoined } from "./plan-namespaces.ts";
import type { ContainerSpec, IdMapping, Mount } from "./runtime.ts";

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

export function stageOf(spec: ContainerSpec, cgroup: CgroupPlan | undefined): Stage {
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

export function planStage(spec: ContainerSpec, context: LaunchContext, part: StagePart): readonly LaunchOp[] {
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

export function planFiles(spec: ContainerSpec, context: LaunchContext, stage: Stage): readonly LaunchOp[] {
  const { cgroup } = context;
  const staged = new Set([...stage.early.mounts, ...stage.late.mounts].map(({ destination }) => destination));
  const defaults = defaultMountsOf(spec).filter(({ destination }) => !staged.has(destination));
  const carried = stage.carried.map((destination) => ({ destination, op: ["carry", destination] satisfies LaunchOp }));
  const own = sortByDepth(
    [...defaults, ...ownMounts(spec, cgroup, stage)].map((mount) => withOp(mount, spec.idMapping)),
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
export function ownMounts(spec: ContainerSpec, cgroup: CgroupPlan | undefined, stage: Stage): readonly Mount[] {
  return sortByDepth([...(ownCgroups(spec) && !stage.cgroups ? cgroupMounts(spec, cgroup) : []), ...spec.mounts]);
}

/** Its cgroups where only their places are there already. */
export function cgroupsToShow(spec: ContainerSpec, cgroup: CgroupPlan | undefined, stage: Stage): readonly Mount[] {
  return stage.cgroups ? cgroupMounts(spec, cgroup).filter(({ type }) => type === "bind") : [];
}
