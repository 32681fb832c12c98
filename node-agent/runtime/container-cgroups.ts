// The cgroups of a node's containers, all below the node's own: planned, limited, read, ended. On a machine without cgroups nothing is
// limited or left to end, and what would measure or pause says so.
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import {
  applyWrites,
  freeze,
  killAll,
  killCgroup,
  limitParent,
  makeSharedDevices,
  moveProcesses,
  processesOf,
  readMountinfo,
  readStats,
  removeCgroup,
  removeTree,
} from "./cgroup-files.ts";
import { limitsV1, rareControllers } from "./cgroup-limits.ts";
import {
  type CgroupLayout,
  type CgroupPlan,
  cgroupDirectories,
  controllersWanted,
  detectAllCgroups,
  detectCgroups,
  ownTrees,
  planCgroup,
  planParent,
  planSharedDevices,
  planUpdate,
} from "./cgroups.ts";
import { readOptional } from "./container-directory.ts";
import { checkCgroupPath } from "./container-names.ts";
import { prepareCpuset } from "./cpuset.ts";
import type { ContainerSpec, ContainerStats, Resources } from "./runtime.ts";

export interface ContainerCgroupsOptions {
  /** Undefined: the machine has none, or they are not to be used. */
  readonly layout: CgroupLayout | undefined;
  /** The node's own. */
  readonly parent: string;
  readonly clock: Clock;
}

export class ContainerCgroups {
  readonly layout: CgroupLayout | undefined;
  readonly #parent: string;
  readonly #clock: Clock;
  /** Cgroups that stay when nothing is in them. */
  readonly #groups = new Set<string>();

  constructor({ layout, parent, clock }: ContainerCgroupsOptions) {
    this.layout = layout;
    this.#parent = parent;
    this.#clock = clock;
  }

  /** What all containers use, before the first of them. */
  makeShared(): void {
    const devices = this.layout === undefined ? undefined : planSharedDevices(this.layout, this.#parent);
    if (devices !== undefined) makeSharedDevices(devices);
  }

  /** Its making is the launcher's. */
  plan(spec: ContainerSpec): CgroupPlan | undefined {
    const layout = this.#layoutOf(spec);
    if (layout === undefined) return undefined;
    const { cgroupPath, resources, resourcesAbove: above } = spec;
    if (layout !== this.layout) prepareCpuset(layout, this.#pathOf(spec));
    this.#settleAbove(layout, spec);
    return planCgroup(layout, {
      parent: this.#parent,
      path: cgroupPath,
      resources,
      ...(above === undefined ? {} : { above }),
      ...devicesOf(spec),
    });
  }

  // Version 1 takes no memory limit beyond that of memory with swap: where one of before is there, the order depends on it.
  #settleAbove(layout: CgroupLayout, spec: ContainerSpec): void {
    const { memoryBytesMax } = spec.resourcesAbove ?? {};
    const memory = layout.version === 1 ? layout.mounts["memory"] : undefined;
    if (memory === undefined || memoryBytesMax === undefined) return;
    const path = dirname(this.#pathOf(spec));
    const present = readOptional(join(memory, path, "memory.limit_in_bytes"))?.trim();
    if (present !== undefined && present !== String(memoryBytesMax))
      applyWrites(limitsV1({ memory }, path, { memoryBytesMax }));
  }

  /** To the limits of `spec`, where the container has a cgroup already. */
  update(spec: ContainerSpec): void {
    const layout = this.#layoutOf(spec);
    if (this.layout === undefined || layout === undefined) return;
    const path = this.#pathOf(spec);
    if (!cgroupDirectories(this.layout, path).some((directory) => existsSync(directory))) return;
    const rare = layout === this.layout ? [] : this.#enterRare(layout, spec);
    applyWrites(planUpdate(layout, this.#parent, spec).writes);
    for (const directory of rare) moveProcesses(processesOf(this.layout, path), directory);
  }

  /** Version 1's trees that few containers are in: those that this one is new in. */
  #enterRare(layout: CgroupLayout, spec: ContainerSpec): readonly string[] {
    if (layout.version === 2) return [];
    const path = this.#pathOf(spec);
    const fresh = rareControllers(spec.resources, 1)
      .filter((controller) => !controllersWanted.includes(controller))
      .flatMap((controller) => layout.mounts[controller] ?? [])
      .map((mount) => join(mount, path))
      .filter((directory) => !existsSync(directory));
    for (const directory of fresh) mkdirSync(directory, { recursive: true });
    prepareCpuset(layout, path);
    return fresh;
  }

  /** Its trees; of version 1's more than the usual ones where its limits are of others. */
  #layoutOf({ resources }: ContainerSpec): CgroupLayout | undefined {
    const { layout } = this;
    if (layout?.version !== 1 || resources.rare === undefined) return layout;
    const rare = rareControllers(resources, 1).filter((controller) => layout.mounts[controller] === undefined);
    if (rare.length === 0) return layout;
    const found = detectCgroups(readMountinfo(), [...controllersWanted, ...rare]);
    return found?.version === 1 ? { version: 1, mounts: { ...layout.mounts, ...found.mounts } } : layout;
  }

  /** What all containers of the node may use together, those that run already among them. */
  limitAll(resources: Resources): void {
    if (this.layout !== undefined) limitParent(planParent(this.layout, this.#parent, resources));
  }

  limitGroup(name: string, resources: Resources): void {
    if (this.layout === undefined) return;
    checkCgroupPath(name);
    limitParent(planParent(this.layout, join(this.#parent, name), resources));
    this.#groups.add(name);
  }

  /** What they use together; undefined where nobody counts. */
  statsOfAll(): ContainerStats | undefined {
    return this.layout === undefined ? undefined : readStats(this.layout, this.#parent);
  }

  stats(spec: ContainerSpec): ContainerStats {
    if (this.layout === undefined) throw new Error("this machine has no cgroups, so nothing is measured");
    return readStats(this.layout, this.#pathOf(spec));
  }

  processes(spec: ContainerSpec): readonly number[] {
    return this.layout === undefined ? [] : processesOf(this.layout, this.#pathOf(spec));
  }

  async freeze(spec: ContainerSpec, wanted: "frozen" | "thawed"): Promise<void> {
    if (this.layout === undefined) throw new Error("this machine has no cgroups, so nothing can be paused");
    await freeze(this.layout, this.#pathOf(spec), wanted, this.#clock);
  }

  /** To every process in it. */
  signal(spec: ContainerSpec, signal: number): void {
    if (this.layout !== undefined) killAll(this.layout, this.#pathOf(spec), signal);
  }

  /** All at once where the kernel can. */
  kill(spec: ContainerSpec): void {
    if (this.layout === undefined) return;
    const path = this.#pathOf(spec);
    const [directory] = cgroupDirectories(this.layout, path);
    if (this.layout.version === 1 || directory === undefined || !killCgroup(directory)) killAll(this.layout, path, 9);
  }

  /** With all that is in it, from all trees of `everywhere`: other runtimes use more of them. */
  async remove(spec: ContainerSpec, everywhere?: CgroupLayout): Promise<void> {
    const usual = this.#layoutOf(spec);
    const layout = everywhere ?? (usual === undefined ? undefined : ownTrees(usual, devicesOf(spec)));
    if (layout === undefined) return;
    const [first = "", ...rest] = spec.cgroupPath.split("/");
    if (this.#groups.has(first) && rest.length > 0)
      await removeCgroup(layout, join(this.#parent, first), rest.join("/"), this.#clock);
    else await removeCgroup(layout, this.#parent, spec.cgroupPath, this.#clock);
  }

  /** The node's own, once its containers are gone. */
  async removeAll(): Promise<void> {
    if (this.layout === undefined) return;
    const all = this.layout.version === 1 ? detectAllCgroups(readMountinfo()) : undefined;
    await removeTree(all ?? this.layout, this.#parent, this.#clock);
  }

  #pathOf(spec: ContainerSpec): string {
    return join(this.#parent, spec.cgroupPath);
  }
}

function devicesOf({ privileged, devices = [], deviceRules = [] }: ContainerSpec) {
  return { allDevices: privileged, devices: [...devices, ...deviceRules] };
}
