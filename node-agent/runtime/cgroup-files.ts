// Reads and removes cgroups: what needs no launcher.
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, sleep } from "../../lib/clock.ts";
import {
  type CgroupLayout,
  type CgroupWrite,
  cgroupDirectories,
  type ParentPlan,
  planFreeze,
  type SharedDevices,
} from "./cgroups.ts";
import { readOptional } from "./container-directory.ts";
import type { ContainerStats } from "./runtime.ts";

const busyTriesMax = 40;
const busyWaitMs = 25;
/** Ten seconds: as long as the kernel may take to free what a large container had. */
const removeTriesMax = 400;

export function readStats(layout: CgroupLayout, path: string): ContainerStats {
  const file = (controller: string, name: string) => {
    const mount = layout.version === 2 ? layout.mount : layout.mounts[controller];
    return mount === undefined ? "" : (readOptional(join(mount, path, name)) ?? "");
  };
  const v1 = layout.version === 1;
  const memoryUsageBytes = Number(file("memory", v1 ? "memory.usage_in_bytes" : "memory.current"));
  const memory = file("memory", "memory.stat");
  const cpu = file("cpu", "cpu.stat");
  const inactive = counter(memory, v1 ? "total_inactive_file" : "inactive_file");
  return {
    cpuUsageNs: v1 ? Number(file("cpuacct", "cpuacct.usage")) : counter(cpu, "usage_usec") * 1000,
    memoryUsageBytes,
    memoryWorkingSetBytes: Math.max(0, memoryUsageBytes - inactive),
    pids: Number(file("pids", "pids.current")),
    oomKills: counter(file("memory", v1 ? "memory.oom_control" : "memory.events"), "oom_kill"),
    detail: {
      memoryAnonymousBytes: counter(memory, v1 ? "total_rss" : "anon"),
      memoryCacheBytes: counter(memory, v1 ? "total_cache" : "file"),
      memorySwapBytes: v1 ? counter(memory, "total_swap") : Number(file("memory", "memory.swap.current")),
      cpuPeriods: counter(cpu, "nr_periods"),
      cpuThrottledPeriods: counter(cpu, "nr_throttled"),
      cpuThrottledNs: v1 ? counter(cpu, "throttled_time") : counter(cpu, "throttled_usec") * 1000,
    },
  };
}

/** Processes in a container's cgroup. */
export function processesOf(layout: CgroupLayout, path: string): readonly number[] {
  const pids = cgroupDirectories(layout, path).flatMap((directory) =>
    (readOptional(join(directory, "cgroup.procs")) ?? "").split("\n").filter((line) => line !== ""),
  );
  // 0 stands for a process of a namespace that we do not see.
  return [...new Set(pids.map(Number))].filter((pid) => pid > 0);
}

/** Into a cgroup of another tree. */
export function moveProcesses(pids: readonly number[], directory: string): void {
  for (const pid of pids) {
    try {
      writeFileSync(join(directory, "cgroup.procs"), String(pid));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** The cgroup of a process in every hierarchy, proc_pid_cgroup(5); none when it is gone. */
export function cgroupPathsOf(pid: number): readonly string[] {
  const lines = (readOptional(`/proc/${pid}/cgroup`) ?? "").split("\n").filter((line) => line !== "");
  return lines.map((line) => line.split(":").slice(2).join(":"));
}

export function killAll(layout: CgroupLayout, path: string, signal: number): void {
  for (const pid of processesOf(layout, path)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Kills all processes of a cgroup, frozen ones too, and none forks away meanwhile. They are gone soon, not at once. */
export function endProcesses(layout: CgroupLayout, path: string): void {
  const [directory] = cgroupDirectories(layout, path);
  if (layout.version === 2 && directory !== undefined && killCgroup(directory)) return;
  if (processesOf(layout, path).length === 0) return;
  tryFreeze(layout, path, "frozen");
  killAll(layout, path, 9);
  // What is frozen cannot die either.
  tryFreeze(layout, path, "thawed");
}

function tryFreeze(layout: CgroupLayout, path: string, wanted: "frozen" | "thawed"): void {
  const plan = planFreeze(layout, path, wanted);
  try {
    if (plan !== undefined) writeFileSync(plan.write.path, plan.write.value);
  } catch {
    // There is no such cgroup, or none any more.
  }
}

/** For a failure's words. */
function whatIsLeft(layout: CgroupLayout, paths: readonly string[]): string {
  const pids = [...new Set(paths.flatMap((path) => processesOf(layout, path)))];
  const name = (pid: number) => `${pid} (${readOptional(`/proc/${pid}/comm`)?.trim() ?? "gone"})`;
  if (pids.length > 0) return `processes in it do not end: ${pids.map(name).join(", ")}`;
  return "it stays busy; processes of a pid namespace that is not seen here may be in it";
}

/** Freezes or thaws all processes of a cgroup; resolves when the kernel says that it is so. */
export async function freeze(
  layout: CgroupLayout,
  path: string,
  wanted: "frozen" | "thawed",
  clock: Clock,
): Promise<void> {
  const plan = planFreeze(layout, path, wanted);
  if (plan === undefined)
    throw new Error("this machine's cgroups cannot freeze: the freezer controller is not mounted");
  const isDone = () => readOptional(plan.done.path)?.split("\n").includes(plan.done.line);
  for (let tries = 0; ; tries++) {
    // Version 1 may stay FREEZING while something forks: asking again goes on with it.
    writeFileSync(plan.write.path, plan.write.value);
    if (isDone()) return;
    if (tries >= busyTriesMax) throw new Error(`cgroup ${path} does not become ${wanted}`);
    await sleep(clock, busyWaitMs);
  }
}

/**
 * Changes limits of a cgroup that is in use. Some depend on each other, and which must come first depends on what they were: those
 * that the kernel refused get a second chance after the others.
 */
export function applyWrites(writes: readonly CgroupWrite[]): void {
  const attempt = ({ path, value, optional }: CgroupWrite): unknown => {
    try {
      writeFileSync(path, value);
      return undefined;
    } catch (error) {
      return optional && (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : error;
    }
  };
  for (const write of writes.filter((one) => attempt(one) !== undefined)) {
    const cause = attempt(write);
    if (cause !== undefined) throw new Error(`set ${write.path} to ${write.value}`, { cause });
  }
}

/** Whatever a killed agent left half done; what runs in it notices nothing. */
export function makeSharedDevices({ directory, writes }: SharedDevices): void {
  mkdirSync(directory, { recursive: true });
  const fresh = readOptional(join(directory, "devices.list"))?.trim() === "a *:* rwm";
  applyWrites(fresh ? writes : writes.filter(({ path }) => !path.endsWith("/devices.deny")));
}

/** Limits what all containers of a node may use together; what runs goes on. */
export function limitParent({ directories, passOn, writes }: ParentPlan): void {
  for (const directory of directories) mkdirSync(directory, { recursive: true });
  for (const { path, value } of passOn) {
    try {
      writeFileSync(path, value);
    } catch {
      // A controller that the kernel lacks: its limit says so when it is needed.
    }
  }
  applyWrites(writes);
}

/** Removes a container's cgroup with all processes in it, and what became empty above it, up to and without the parent. */
export async function removeCgroup(layout: CgroupLayout, parent: string, path: string, clock: Clock): Promise<void> {
  const whole = join(parent, path);
  for (let tries = 0; !removeOnce(layout, whole); tries++) {
    // A privileged container makes cgroups of its own in its own.
    const below = cgroupsBelow(layout, whole);
    if (tries >= removeTriesMax) throw new Error(`remove cgroup ${whole}: ${whatIsLeft(layout, [...below, whole])}`);
    for (const inner of [...below, whole]) endProcesses(layout, inner);
    const left = below.filter((inner) => !removeOnce(layout, inner));
    if (left.length < below.length && removeOnce(layout, whole)) break;
    await sleep(clock, busyWaitMs);
  }
  const names = path.split("/").filter((name) => name !== "");
  for (let length = names.length - 1; length > 0; length--) removeOnce(layout, join(parent, ...names.slice(0, length)));
}

/** The node's own cgroup with everything below it. Processes in it must have ended. */
export async function removeTree(layout: CgroupLayout, parent: string, clock: Clock): Promise<void> {
  for (const path of cgroupsBelow(layout, parent))
    await removeCgroup(layout, parent, path.slice(parent.length + 1), clock);
  const names = parent.split("/").filter((name) => name !== "");
  for (let length = names.length; length > 0; length--) removeOnce(layout, `/${names.slice(0, length).join("/")}`);
}

/** Every cgroup below one, in all trees, deepest first. */
function cgroupsBelow(layout: CgroupLayout, parent: string): readonly string[] {
  const below = new Set<string>();
  for (const directory of cgroupDirectories(layout, parent)) collect(directory, "", below);
  return [...below].toSorted((a, b) => b.length - a.length).map((path) => join(parent, path));
}

function collect(directory: string, path: string, into: Set<string>): void {
  let entries: readonly string[];
  try {
    entries = readdirSync(join(directory, path), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return;
  }
  for (const name of entries) {
    into.add(join(path, name));
    collect(directory, join(path, name), into);
  }
}

/** False when something is still in it. */
function removeOnce(layout: CgroupLayout, path: string): boolean {
  let gone = true;
  for (const directory of cgroupDirectories(layout, path)) {
    try {
      rmdirSync(directory);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOENT") gone = false;
    }
  }
  return gone;
}

function counter(text: string, key: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? 0 : Number(line.slice(key.length + 1));
}

/** The layout of the machine this runs on. */
export function readMountinfo(): string {
  return readFileSync("/proc/self/mountinfo", "utf8");
}

/** v2 only: everything in it at once, also what forks meanwhile. False where the kernel has no such file. */
export function killCgroup(directory: string): boolean {
  try {
    writeFileSync(join(directory, "cgroup.kill"), "1");
    return true;
  } catch {
    return false;
  }
}
