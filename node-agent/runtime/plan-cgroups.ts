// A container's cgroups in its launch plan: made, joined, and shown to it. Pure.
import type { CgroupPlan } from "./cgroups.ts";
import type { LaunchContext, LaunchOp } from "./launch-op.ts";
import { planHeld } from "./plan-mounts.ts";
import { isOwn } from "./plan-namespaces.ts";
import type { ContainerSpec, Mount } from "./runtime.ts";

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

/** Version 1: a process moves itself by writing to these. */
export function joinFiles(cgroup: CgroupPlan | undefined): readonly string[] {
  return cgroup?.join.type === "tasks" ? cgroup.join.files : [];
}

/** How a container gets into its cgroups: what its monitor does and opens, and what it does with that. */
export interface CgroupEntry {
  readonly monitor: readonly LaunchOp[];
  readonly child: readonly LaunchOp[];
}

/** `shown`: its cgroups that are placed once it is in them. */
export function planCgroupEntry(spec: ContainerSpec, context: LaunchContext, shown: readonly Mount[]): CgroupEntry {
  const { cgroup } = context;
  const files = joinFiles(cgroup);
  return {
    monitor: [
      ...(cgroup?.join.type === "into" ? [] : [...planCgroupMake(context), ...planCgroupUse(context)]),
      ...files.map((file): LaunchOp => ["hold-file", file]),
      ...shown.flatMap((mount) => planHeld(mount, context.rootfsPath)),
    ],
    child: [
      ...files.map((): LaunchOp => ["write-held", "0"]),
      // Its cgroup so becomes the "/" that it sees.
      ...(isOwn(spec, "cgroup") ? [["unshare", "cgroup"] satisfies LaunchOp] : []),
      ...shown.map(({ destination }): LaunchOp => ["place", destination]),
    ],
  };
}

export function joinCgroup(cgroup: CgroupPlan | undefined): readonly LaunchOp[] {
  return joinFiles(cgroup).map((file): LaunchOp => ["write", file, "0"]);
}

export const cgroupsPath = "/sys/fs/cgroup";

/** A spec may bring others. */
export function ownCgroups(spec: ContainerSpec): boolean {
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

export function cgroupDirectoriesSeen(cgroup: CgroupPlan | undefined): CgroupPlan["seen"] {
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
