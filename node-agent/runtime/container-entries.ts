// The containers of a node with their states, and those who wait for their ends. What it holds is read from the containers' directories,
// so that a new agent goes on where the last one stopped; nothing else changes a state.
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import {
  forgetRun,
  isAlive,
  listDirectories,
  type ProcessIdentity,
  parseExit,
  parseStatus,
  readExit,
  readSpec,
  readStatus,
  removeDirectory,
  replaceSpec,
  type StatusRecord,
  type Stopped,
  writeExit,
  writeSpec,
} from "./container-directory.ts";
import type { Container, ContainerSpec, ContainerState } from "./runtime.ts";

/** One container as it is now: who keeps it sees it change. */
export interface ContainerEntry {
  readonly spec: ContainerSpec;
  readonly state: ContainerState;
  /** Exactly while it runs. */
  readonly process: ProcessIdentity | undefined;
  readonly starting: Promise<{ readonly pid: number }> | undefined;
}

export interface ContainerEntriesOptions {
  /** One directory in it for each container. */
  readonly directory: string;
  /** Kills what a container left in its cgroup. */
  readonly killRest: (spec: ContainerSpec) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

type OwnEntry = { -readonly [Key in keyof ContainerEntry]: ContainerEntry[Key] } & {
  readonly waiters: Set<(stopped: Stopped) => void>;
};

export class ContainerEntries {
  readonly #options: ContainerEntriesOptions;
  readonly #entries = new Map<string, OwnEntry>();

  constructor(options: ContainerEntriesOptions) {
    this.#options = options;
  }

  /** Reads what is there. What a crash left before a container existed goes. */
  open(): void {
    for (const id of listDirectories(this.#options.directory)) {
      const spec = readSpec(this.directoryOf(id));
      if (spec === undefined) rmSync(this.directoryOf(id), { recursive: true, force: true });
      else this.#entries.set(id, newEntry(spec));
    }
    this.refresh();
  }

  add(spec: ContainerSpec): void {
    writeSpec(this.directoryOf(spec.id), spec);
    if (spec.logPath !== undefined) mkdirSync(dirname(spec.logPath), { recursive: true, mode: 0o750 });
    this.#entries.set(spec.id, newEntry(spec));
  }

  find(id: string): ContainerEntry | undefined {
    return this.#entries.get(id);
  }

  /** Throws for one that does not exist. */
  get(id: string): ContainerEntry {
    return this.#get(id);
  }

  /** Throws for one that does not run. */
  running(id: string): { readonly spec: ContainerSpec; readonly process: ProcessIdentity } {
    const { spec, state, process: identity } = this.#get(id);
    if (state.status !== "running" || identity === undefined)
      throw new Error(`container ${id} does not run: it is ${state.status}`);
    return { spec, process: identity };
  }

  list(): readonly Container[] {
    return [...this.#entries].map(([id, { spec, state }]) => ({
      id,
      labels: spec.labels,
      cgroupPath: spec.cgroupPath,
      state,
    }));
  }

  directoryOf(id: string): string {
    return join(this.#options.directory, id);
  }

  /** The start that is under way, or else this one. */
  startOnce(id: string, start: () => Promise<{ readonly pid: number }>): Promise<{ readonly pid: number }> {
    const entry = this.#get(id);
    entry.starting ??= start().finally(() => {
      entry.starting = undefined;
    });
    return entry.starting;
  }

  /** A run begins; that before it is forgotten. */
  begin(id: string): void {
    const entry = this.#get(id);
    if (entry.state.status === "stopped") forgetRun(this.directoryOf(id));
    entry.state = { status: "created" };
    entry.process = undefined;
  }

  /** A short one may have ended already: its end comes right behind its start. */
  started(id: string, status: StatusRecord): void {
    const entry = this.#entries.get(id);
    if (entry?.state.status === "created") run(entry, status);
  }

  replace(id: string, spec: ContainerSpec): void {
    const entry = this.#get(id);
    replaceSpec(this.directoryOf(id), spec);
    entry.spec = spec;
  }

  delete(id: string): void {
    removeDirectory(this.directoryOf(id));
    this.#entries.delete(id);
  }

  wait(id: string, signal?: AbortSignal): Promise<Stopped> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const entry = this.#get(id);
      if (entry.state.status === "stopped") {
        resolve(entry.state);
        return;
      }
      const onAbort = () => {
        entry.waiters.delete(onStopped);
        reject(signal?.reason);
      };
      const onStopped = (stopped: Stopped) => {
        signal?.removeEventListener("abort", onAbort);
        resolve(stopped);
      };
      entry.waiters.add(onStopped);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Brings every container's state to what is on disk and what lives. */
  refresh(): void {
    for (const [id, { starting }] of this.#entries) if (starting === undefined) this.look(id);
  }

  /** The same of one container, also while it starts. */
  look(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.state.status === "stopped") return;
    const directory = this.directoryOf(id);
    const status = readStatus(directory);
    const stopped = readExit(directory);
    if (stopped !== undefined) stop(entry, stopped);
    else if (status === undefined) entry.state = { status: "created" };
    else if (!isAlive(status.monitor)) this.#lost(id, entry);
    else run(entry, status);
  }

  /** What the launcher tells of a container. */
  onContainer(event: string, id: string, text: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    // Started by an agent before this one.
    if (event === "started" && entry.state.status === "created" && entry.starting === undefined)
      run(entry, parseStatus(text));
    if (event === "exited") stop(entry, parseExit(text));
    if (event === "lost") this.#lost(id, entry);
  }

  /** Its monitor was killed. The kernel then kills the first process; what is left in the cgroup goes too. */
  #lost(id: string, entry: OwnEntry): void {
    const directory = this.directoryOf(id);
    const recorded = readExit(directory);
    const status = readStatus(directory);
    if (recorded === undefined && status === undefined) return;
    if (recorded === undefined && status !== undefined) {
      this.#options.log.warn({ id }, "a container's monitor was killed");
      if (isAlive(status.process)) process.kill(status.process.pid, 9);
      this.#options.killRest(entry.spec);
      const finishedAtMs = this.#options.clock.now();
      const { startedAtMs } = status;
      writeExit(directory, {
        status: "stopped",
        exitCode: 137,
        signal: 9,
        oomKilled: false,
        startedAtMs,
        finishedAtMs,
      });
    }
    const stopped = readExit(directory);
    if (stopped !== undefined) stop(entry, stopped);
  }

  #get(id: string): OwnEntry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`container ${id} does not exist`);
    return entry;
  }
}

function newEntry(spec: ContainerSpec): OwnEntry {
  return { spec, state: { status: "created" }, process: undefined, starting: undefined, waiters: new Set() };
}

function run(entry: OwnEntry, { process: identity, startedAtMs }: StatusRecord): void {
  entry.process = identity;
  entry.state = { status: "running", pid: identity.pid, startedAtMs };
}

function stop(entry: OwnEntry, stopped: Stopped): void {
  entry.state = stopped;
  entry.process = undefined;
  for (const waiter of entry.waiters) waiter(stopped);
  entry.waiters.clear();
}
