// A container's directory on disk, from which a new agent learns what runs: spec.json by us; status and exit by its monitor.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ContainerSpec, ContainerState } from "./runtime.ts";

export type Stopped = Extract<ContainerState, { status: "stopped" }>;

/** A process as long as it is that one, whatever its number is used for later. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: string;
}

/** What the monitor wrote when the container's program began. */
export interface StatusRecord {
  readonly process: ProcessIdentity;
  readonly monitor: ProcessIdentity;
  readonly startedAtMs: number;
}

export function writeSpec(directory: string, spec: ContainerSpec): void {
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, "spec.json"), JSON.stringify(spec), { mode: 0o600 });
}

/** The old one or the new one is there, whenever we are killed. */
export function replaceSpec(directory: string, spec: ContainerSpec): void {
  const path = join(directory, "spec.json");
  writeFileSync(`${path}.new`, JSON.stringify(spec), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Undefined for what a crash left before the container existed: no file, or a part of one. */
export function readSpec(directory: string): ContainerSpec | undefined {
  const text = readOptional(join(directory, "spec.json"));
  try {
    return text === undefined ? undefined : (JSON.parse(text) as ContainerSpec);
  } catch {
    return undefined;
  }
}

export function readStatus(directory: string): StatusRecord | undefined {
  const text = readOptional(join(directory, "status"));
  return text?.endsWith("\n") ? parseStatus(text) : undefined;
}

export function readExit(directory: string): Stopped | undefined {
  const text = readOptional(join(directory, "exit"));
  return text?.endsWith("\n") ? parseExit(text) : undefined;
}

/** "<pid> <start> <monitor's pid> <monitor's start> <ms>" */
export function parseStatus(text: string): StatusRecord {
  const [pid, start, monitor, monitorStart, startedAtMs] = text.trim().split(" ");
  return {
    process: { pid: Number(pid), startTicks: start ?? "" },
    monitor: { pid: Number(monitor), startTicks: monitorStart ?? "" },
    startedAtMs: Number(startedAtMs),
  };
}

/** "<code> <signal or 0> <oom 0|1> <started ms> <finished ms>" */
export function parseExit(text: string): Stopped {
  const [code, signal, oom, startedAtMs, finishedAtMs] = text.trim().split(" ").map(Number);
  return {
    status: "stopped",
    exitCode: code ?? 128,
    ...(signal === undefined || signal === 0 ? {} : { signal }),
    oomKilled: oom === 1,
    startedAtMs: startedAtMs ?? 0,
    finishedAtMs: finishedAtMs ?? 0,
  };
}

/** For a container whose monitor could not. */
export function writeExit(directory: string, stopped: Stopped): void {
  const { exitCode, signal, oomKilled, startedAtMs, finishedAtMs } = stopped;
  const text = `${exitCode} ${signal ?? 0} ${oomKilled ? 1 : 0} ${startedAtMs} ${finishedAtMs}\n`;
  writeFileSync(join(directory, "exit"), text);
}

/** Makes a stopped container startable again. */
export function forgetRun(directory: string): void {
  for (const name of ["exit", "status", "monitor"]) rmSync(join(directory, name), { force: true });
}

/** Nothing is ever mounted below it. What goes first is what makes it a container's. */
export function removeDirectory(directory: string): void {
  try {
    // What one that has run leaves; to look what is there costs more than all of this.
    for (const name of ["spec.json", "status", "exit"]) unlinkSync(join(directory, name));
    rmdirSync(directory);
  } catch {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function listDirectories(parent: string): readonly string[] {
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

/** Clock ticks after boot when it began, proc_pid_stat(5)'s field 22; undefined when there is none, or only its remains. */
export function startTicksOf(pid: number): string | undefined {
  const fields = statFields(`/proc/${pid}/stat`);
  return fields === undefined || isOver(pid, fields) ? undefined : fields[19];
}

/** What follows the name, so that field 3 is the first. */
function statFields(path: string): readonly string[] | undefined {
  const text = readOptional(path);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ");
}

const exitingFlag = 0x4;

/** The first process of a pid namespace sleeps, dead, until all others there were waited for: whose parents may never do it. */
function isOver(pid: number, [state, , , , , , flags, ...rest]: readonly string[]): boolean {
  if (state === "Z" || state === "X") return true;
  if ((Number(flags) & exitingFlag) === 0) return false;
  // The first thread can end before the others.
  const threads = Number(rest[10]) > 1 ? listDirectories(`/proc/${pid}/task`) : [];
  return threads.every((thread) => (Number(statFields(`/proc/${pid}/task/${thread}/stat`)?.[6]) & exitingFlag) !== 0);
}

export function isAlive({ pid, startTicks }: ProcessIdentity): boolean {
  return startTicksOf(pid) === startTicks;
}

export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
