// The runtime on Linux: plans in TypeScript, performed by the launcher. What it knows is on disk too, so that a new agent goes on.
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { spreadDirectory } from "../../lib/spread-directory.ts";
import {
  applyWrites,
  freeze,
  killAll,
  killCgroup,
  limitParent,
  makeSharedDevices,
  processesOf,
  readMountinfo,
  readStats,
  removeCgroup,
  removeTree,
} from "./cgroup-files.ts";
import {
  type CgroupLayout,
  type CgroupPlan,
  cgroupDirectories,
  detectCgroups,
  planCgroup,
  planParent,
  planSharedDevices,
  planUpdate,
} from "./cgroups.ts";
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
  replaceSpec,
  type StatusRecord,
  type Stopped,
  writeExit,
  writeSpec,
} from "./container-directory.ts";
import { allowedDevices } from "./defaults.ts";
import { compileDeviceFilter } from "./device-filter.ts";
import type { FrameField } from "./frames.ts";
import { hostDevices } from "./host-devices.ts";
import { LauncherError, LauncherGoneError, type RequestOptions } from "./launcher-client.ts";
import { LauncherProcess } from "./launcher-process.ts";
import type { OciProgram } from "./oci-programs.ts";
import { ociLaunchError } from "./oci-runtime.ts";
import { type OciMachine, OciRuntimes } from "./oci-runtimes.ts";
import { type LaunchOp, planExec, planLaunch } from "./plan.ts";
import {
  type Container,
  type ContainerSpec,
  type ContainerState,
  type ContainerStats,
  type ExecRequest,
  LaunchError,
  type ProcessStreams,
  type Resources,
  type Runtime,
  type Sandbox,
} from "./runtime.ts";
import { createSandbox, listSandboxes, removeSandbox } from "./sandboxes.ts";
import { compileSeccomp } from "./seccomp.ts";
import { ownSeccompMachine } from "./seccomp-machines.ts";
import { openStreams } from "./streams.ts";
import { WaitingSandboxes } from "./waiting-sandboxes.ts";

const logFileBytesMax = 10 * 1024 * 1024;
const logFilesMax = 3;
const idBytesMax = 200;
const filtersMax = 64;
const eperm = 1;
const enoent = 2;
const esrch = 3;
const enoexec = 8;
const eacces = 13;
const enotdir = 20;
const eisdir = 21;
const ealready = 114;
/** A runtime that was asked refused: what failed is its words. */
const eremoteio = 121;
/** Times 50 ms, until a launch is given up whose launcher went away. Other runtimes take their time. */
const launchTriesMax = { builtIn: 5, oci: 200 };

export interface LinuxRuntimeOptions {
  /** For the launcher's socket and the sandboxes' namespaces; may vanish when the machine restarts. */
  readonly runDir: string;
  /** For what must be known after a restart of the agent. */
  readonly stateDir: string;
  readonly launcherPath: string;
  /** The node's own, such as "/naru-demo/node1". */
  readonly cgroupParent: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Found in /proc/self/mountinfo when absent; "none" goes without limits. */
  readonly cgroups?: CgroupLayout | "none";
  /** Other OCI runtimes, which containers name by their handlers. */
  readonly ociPrograms?: readonly OciProgram[];
  /** Sandboxes that are kept waiting for containers of each kind that was started lately; none when absent. */
  readonly waiting?: number;
}

interface Entry {
  spec: ContainerSpec;
  state: ContainerState;
  process: ProcessIdentity | undefined;
  starting: Promise<{ readonly pid: number }> | undefined;
  readonly waiters: Set<(stopped: Stopped) => void>;
}

/** Opens what an earlier agent left, or a fresh one; starts the launcher when none answers. */
export async function openLinuxRuntime(options: LinuxRuntimeOptions): Promise<LinuxRuntime> {
  const runtime = new LinuxRuntime(options);
  await runtime.open();
  return runtime;
}

export class LinuxRuntime implements Runtime {
  readonly #options: LinuxRuntimeOptions;
  readonly #launcher: LauncherProcess;
  readonly #containersDir: string;
  readonly #sandboxesDir: string;
  /** Where every container's root is mounted, each in its own mount namespace. */
  readonly #rootfsDir: string;
  readonly #cgroups: CgroupLayout | undefined;
  readonly #containers = new Map<string, Entry>();
  /** Cgroups that stay when nothing is in them. */
  readonly #groups = new Set<string>();
  readonly #waiting: WaitingSandboxes;
  readonly #filters = new Map<string, Buffer>();
  readonly #oci: OciRuntimes;
  #defaultProfile: unknown;

  constructor(options: LinuxRuntimeOptions) {
    this.#options = options;
    this.#containersDir = join(options.stateDir, "containers");
    this.#sandboxesDir = join(options.runDir, "sandboxes");
    this.#rootfsDir = join(options.runDir, "rootfs");
    this.#cgroups = options.cgroups === "none" ? undefined : (options.cgroups ?? detectCgroups(readMountinfo()));
    this.#oci = new OciRuntimes({
      programs: options.ociPrograms ?? [],
      directory: join(options.runDir, "oci"),
      machine: this.#ociMachine(),
    });
    this.#launcher = new LauncherProcess({
      ...options,
      containersDir: this.#containersDir,
      onContainer: (event, id, text) => this.#onContainer(event, id, text),
      onReconnected: () => {
        this.#waiting.forget();
        this.#refresh();
      },
    });
    this.#waiting = new WaitingSandboxes(options.waiting ?? 0, (args) => this.request("pool", args), options.log);
  }

  async open(): Promise<void> {
    for (const path of [this.#containersDir, this.#sandboxesDir, this.#rootfsDir])
      mkdirSync(path, { recursive: true, mode: 0o700 });
    await spreadDirectory(this.#containersDir);
    const { cgroupParent } = this.#options;
    const devices = this.#cgroups === undefined ? undefined : planSharedDevices(this.#cgroups, cgroupParent);
    if (devices !== undefined) makeSharedDevices(devices);
    await this.#launcher.client();
    for (const id of listDirectories(this.#containersDir)) {
      const spec = readSpec(this.#directory(id));
      if (spec === undefined) rmSync(this.#directory(id), { recursive: true, force: true });
      else this.#containers.set(id, newEntry(spec));
    }
    this.#refresh();
  }

  /** Performs an op of the launcher (node-agent/launcher/README.md); rejects with LauncherError. */
  async request(op: string, args: readonly FrameField[], options?: RequestOptions): Promise<readonly string[]> {
    const client = await this.#launcher.client();
    return client.request(op, args, options);
  }

  get handlers(): Runtime["handlers"] {
    return this.#oci.handlers;
  }

  #ociMachine(): OciMachine {
    return {
      rootfsPath: this.#rootfsDir,
      cgroups: this.#cgroups,
      cgroupParent: this.#options.cgroupParent,
      seccompProfile: (spec) => this.#seccompProfile(spec),
      logFileBytesMax,
      logFilesMax,
    };
  }

  async create(spec: ContainerSpec): Promise<void> {
    checkId(spec.id);
    this.#oci.check(spec.runtime);
    if (this.#containers.has(spec.id)) throw new Error(`container ${spec.id} exists already`);
    if (spec.args.length === 0) throw new LaunchError("exec: no program is named", 127);
    checkCgroupPath(spec.cgroupPath);
    writeSpec(this.#directory(spec.id), spec);
    if (spec.logPath !== undefined) mkdirSync(dirname(spec.logPath), { recursive: true, mode: 0o750 });
    this.#containers.set(spec.id, newEntry(spec));
  }

  async start(id: string, options: { readonly holdOutput?: boolean } = {}): Promise<{ readonly pid: number }> {
    const entry = this.#entry(id);
    if (entry.state.status === "running") return { pid: entry.state.pid };
    entry.starting ??= this.#start(id, entry, options).finally(() => {
      entry.starting = undefined;
    });
    return entry.starting;
  }

  async #start(
    id: string,
    entry: Entry,
    { holdOutput = false }: { readonly holdOutput?: boolean },
  ): Promise<{ readonly pid: number }> {
    if (entry.state.status === "stopped") forgetRun(this.#directory(id));
    entry.state = { status: "created" };
    entry.process = undefined;
    const delegated = await this.#oci.planStart(entry.spec, this.#directory(id), { holdOutput });
    const ops = delegated?.ops ?? this.#planStart(entry.spec, { holdOutput });
    const status = await this.#launch(
      id,
      ops,
      delegated === undefined ? launchTriesMax.builtIn : launchTriesMax.oci,
    ).catch((error: unknown) => {
      throw delegated?.explain(error) ?? error;
    });
    entry.process = status.process;
    // A short one may have ended already: its end comes right behind its start.
    if (entry.state.status === "created")
      entry.state = { status: "running", pid: status.process.pid, startedAtMs: status.startedAtMs };
    this.#waiting.started(ops);
    return { pid: status.process.pid };
  }

  /** Has sandboxes wait for containers of this one's kind, and says whether they do. */
  async warm(id: string): Promise<boolean> {
    return this.#waiting.isFull(this.#planStart(this.#entry(id).spec, { holdOutput: false }));
  }

  #planStart(spec: ContainerSpec, { holdOutput }: { readonly holdOutput: boolean }): readonly LaunchOp[] {
    const cgroup = this.#planCgroup(spec);
    return planLaunch(spec, {
      rootfsPath: this.#rootfsDir,
      cgroup,
      deviceFilter: cgroup?.deviceFilter
        ? compileDeviceFilter([...allowedDevices, ...(spec.devices ?? [])])
        : undefined,
      seccompFilter: this.#seccompFilter(spec),
      logFileBytesMax,
      logFilesMax,
      hostDevices: spec.privileged ? hostDevices() : [],
      holdOutput,
    });
  }

  async #launch(id: string, ops: readonly LaunchOp[], triesMax: number): Promise<StatusRecord> {
    for (let tries = 0; ; tries++) {
      const client = await this.#launcher.client();
      try {
        const [text] = await client.launch(id, ops);
        return parseStatus(text ?? "");
      } catch (error) {
        const again =
          error instanceof LauncherGoneError || (error instanceof LauncherError && error.errno === ealready);
        if (!again) throw asLaunchError(error, ops);
        // A launcher that was killed may have forked the monitor before.
        const status = readStatus(this.#directory(id));
        if (status !== undefined) return status;
        if (tries >= triesMax) throw new LaunchError(`start ${id}: the launcher is gone`, 128, { cause: error });
        await new Promise<void>((resolve) => void this.#options.clock.after(50, resolve));
      }
    }
  }

  async signal(id: string, signal: number, target: "first" | "all" = "first"): Promise<void> {
    const entry = this.#entry(id);
    await entry.starting?.catch(() => undefined);
    if (target === "all" && this.#cgroups !== undefined) killAll(this.#cgroups, this.#cgroupOf(entry.spec), signal);
    if (target === "all" || entry.state.status !== "running" || entry.process === undefined) return;
    const { pid, startTicks } = entry.process;
    if (await this.#oci.signal(entry.spec, entry.process, signal)) return;
    await this.request("signal", [pid, startTicks, signal]).catch((error: unknown) => {
      if (!(error instanceof LauncherError) || error.errno !== esrch) throw error;
    });
  }

  wait(id: string, signal?: AbortSignal): Promise<Stopped> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const entry = this.#entry(id);
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

  async exec(id: string, request: ExecRequest, signal?: AbortSignal): Promise<ProcessStreams> {
    const { spec, process: target } = this.#running(id);
    const delegated = this.#oci.planExec(spec, this.#directory(id), request);
    const ops =
      delegated?.ops ??
      planExec(spec, target, request, {
        cgroup: this.#planCgroup(spec),
        seccompFilter: this.#seccompFilter(spec),
      });
    await this.#launcher.client();
    const streams = openStreams(
      this.#launcher.socketPath,
      {
        op: "exec",
        args: ops,
        stdin: request.stdin,
        terminal: request.terminal,
        // Its monitor kills it when the connection ends, and dies with it.
        lostExitCode: () => Promise.resolve(137),
      },
      signal,
    );
    return streams
      .catch((error: unknown) => {
        throw asLaunchError(error, ops);
      })
      .finally(() => delegated?.done());
  }

  async attach(id: string, signal?: AbortSignal): Promise<ProcessStreams> {
    const { spec } = this.#running(id);
    await this.#launcher.client();
    return openStreams(
      this.#launcher.socketPath,
      {
        op: "attach",
        args: [id],
        stdin: spec.stdin || spec.terminal,
        terminal: spec.terminal,
        lostExitCode: async () => (await this.wait(id)).exitCode,
      },
      signal,
    );
  }

  /** What all containers of the node may use together, those that run already among them. */
  limitAll(resources: Resources): void {
    if (this.#cgroups !== undefined) limitParent(planParent(this.#cgroups, this.#options.cgroupParent, resources));
  }

  limitGroup(name: string, resources: Resources): void {
    if (this.#cgroups === undefined) return;
    checkCgroupPath(name);
    limitParent(planParent(this.#cgroups, join(this.#options.cgroupParent, name), resources));
    this.#groups.add(name);
  }

  /** What they use together; undefined where nobody counts. */
  statsOfAll(): ContainerStats | undefined {
    return this.#cgroups === undefined ? undefined : readStats(this.#cgroups, this.#options.cgroupParent);
  }

  async stats(id: string): Promise<ContainerStats> {
    const { spec } = this.#entry(id);
    if (this.#cgroups === undefined) throw new Error("this machine has no cgroups, so nothing is measured");
    return readStats(this.#cgroups, this.#cgroupOf(spec));
  }

  async processes(id: string): Promise<readonly number[]> {
    const { spec } = this.#entry(id);
    return this.#cgroups === undefined ? [] : processesOf(this.#cgroups, this.#cgroupOf(spec));
  }

  async pause(id: string): Promise<void> {
    await this.#freeze(this.#running(id).spec, "frozen");
  }

  async resume(id: string): Promise<void> {
    await this.#freeze(this.#running(id).spec, "thawed");
  }

  async #freeze(spec: ContainerSpec, wanted: "frozen" | "thawed"): Promise<void> {
    if (this.#cgroups === undefined) throw new Error("this machine has no cgroups, so nothing can be paused");
    await freeze(this.#cgroups, this.#cgroupOf(spec), wanted, this.#options.clock);
  }

  async update(id: string, resources: Resources, above?: Resources): Promise<void> {
    const entry = this.#entry(id);
    const spec = { ...entry.spec, resources, ...(above === undefined ? {} : { resourcesAbove: above }) };
    if (this.#cgroups !== undefined) {
      const { directories, writes } = planUpdate(this.#cgroups, this.#options.cgroupParent, spec);
      if (directories.some((directory) => existsSync(directory))) applyWrites(writes);
    }
    if (entry.state.status === "running") await this.#oci.update(spec, this.#directory(id));
    replaceSpec(this.#directory(id), spec);
    entry.spec = spec;
  }

  async remove(id: string): Promise<void> {
    const entry = this.#containers.get(id);
    if (entry === undefined) return;
    await entry.starting?.catch(() => undefined);
    if (entry.state.status === "running") {
      // What is frozen does not end.
      if (this.#cgroups !== undefined) await this.#freeze(entry.spec, "thawed").catch(() => {});
      await this.signal(id, 9);
      await this.wait(id);
    }
    await this.#oci.remove(entry.spec, this.#directory(id));
    const cgroups = this.#oci.cgroupsOf(entry.spec) ?? this.#cgroups;
    if (cgroups !== undefined) {
      const { clock, cgroupParent } = this.#options;
      const [first = "", ...rest] = entry.spec.cgroupPath.split("/");
      if (this.#groups.has(first) && rest.length > 0)
        await removeCgroup(cgroups, join(cgroupParent, first), rest.join("/"), clock);
      else await removeCgroup(cgroups, cgroupParent, entry.spec.cgroupPath, clock);
    }
    // Nothing is ever mounted below it.
    rmSync(this.#directory(id), { recursive: true, force: true });
    this.#containers.delete(id);
  }

  async list(): Promise<readonly Container[]> {
    return [...this.#containers].map(([id, { spec, state }]) => ({
      id,
      labels: spec.labels,
      cgroupPath: spec.cgroupPath,
      state,
    }));
  }

  async createSandbox(...[id, options]: Parameters<Runtime["createSandbox"]>): Promise<Sandbox> {
    checkId(id);
    this.#oci.check(options.runtime);
    return createSandbox(await this.#launcher.client(), this.#sandboxesDir, id, options);
  }

  async removeSandbox(id: string): Promise<void> {
    checkId(id);
    await removeSandbox(await this.#launcher.client(), this.#sandboxesDir, id);
  }

  async listSandboxes(): Promise<readonly Sandbox[]> {
    return listSandboxes(this.#sandboxesDir);
  }

  /** Ends everything of this node: containers, sandboxes, cgroups, the launcher. */
  async tearDown(): Promise<void> {
    for (const id of [...this.#containers.keys()]) await this.remove(id);
    for (const id of listDirectories(this.#sandboxesDir)) await this.removeSandbox(id);
    const cgroups = this.#oci.allCgroups ?? this.#cgroups;
    if (cgroups !== undefined) await removeTree(cgroups, this.#options.cgroupParent, this.#options.clock);
    await this.request("stop", []);
    await this.#launcher.close();
  }

  /** Lets go; containers and launcher go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#launcher.close();
  }

  /** Brings every container's state to what is on disk and what lives. */
  #refresh(): void {
    for (const [id, entry] of this.#containers) {
      if (entry.state.status === "stopped" || entry.starting !== undefined) continue;
      const directory = this.#directory(id);
      const status = readStatus(directory);
      const stopped = readExit(directory);
      if (stopped !== undefined) this.#stopped(entry, stopped);
      else if (status === undefined) entry.state = { status: "created" };
      else if (!isAlive(status.monitor)) this.#lost(id, entry);
      else this.#adopt(entry, status);
    }
  }

  /** It was started by an agent before this one. */
  #adopt(entry: Entry, status: StatusRecord): void {
    entry.process = status.process;
    entry.state = { status: "running", pid: status.process.pid, startedAtMs: status.startedAtMs };
  }

  #onContainer(event: string, id: string, text: string): void {
    const entry = this.#containers.get(id);
    if (entry === undefined) return;
    if (event === "started" && entry.state.status === "created" && entry.starting === undefined)
      this.#adopt(entry, parseStatus(text));
    if (event === "exited") this.#stopped(entry, parseExit(text));
    if (event === "lost") this.#lost(id, entry);
  }

  /** Its monitor was killed. The kernel then kills the first process; what is left in the cgroup goes too. */
  #lost(id: string, entry: Entry): void {
    const directory = this.#directory(id);
    const recorded = readExit(directory);
    const status = readStatus(directory);
    if (recorded === undefined && status === undefined) return;
    if (recorded === undefined && status !== undefined) {
      this.#options.log.warn({ id }, "a container's monitor was killed");
      if (isAlive(status.process)) process.kill(status.process.pid, 9);
      if (this.#cgroups !== undefined) this.#killCgroup(this.#cgroups, this.#cgroupOf(entry.spec));
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
    if (stopped !== undefined) this.#stopped(entry, stopped);
  }

  #killCgroup(layout: CgroupLayout, path: string): void {
    const [directory] = cgroupDirectories(layout, path);
    if (layout.version === 1 || directory === undefined || !killCgroup(directory)) killAll(layout, path, 9);
  }

  #stopped(entry: Entry, stopped: Stopped): void {
    entry.state = stopped;
    entry.process = undefined;
    for (const waiter of entry.waiters) waiter(stopped);
    entry.waiters.clear();
  }

  #planCgroup(spec: ContainerSpec): CgroupPlan | undefined {
    if (this.#cgroups === undefined) return undefined;
    const { cgroupPath, resources, resourcesAbove: above, privileged, devices = [] } = spec;
    return planCgroup(this.#cgroups, {
      parent: this.#options.cgroupParent,
      path: cgroupPath,
      resources,
      ...(above === undefined ? {} : { above }),
      allDevices: privileged,
      devices,
    });
  }

  /** Undefined: every system call is let through. */
  #seccompProfile(spec: ContainerSpec): unknown {
    if (spec.privileged || spec.seccomp === "unconfined") return undefined;
    if (spec.seccomp !== "default") return spec.seccomp.profile;
    this.#defaultProfile ??= JSON.parse(readFileSync(new URL("seccomp-default.json", import.meta.url), "utf8"));
    return this.#defaultProfile;
  }

  #seccompFilter(spec: ContainerSpec): Buffer | undefined {
    const profile = this.#seccompProfile(spec);
    if (profile === undefined) return undefined;
    const key = JSON.stringify([spec.capabilities, spec.seccomp]);
    const known = this.#filters.get(key);
    if (known !== undefined) return known;
    const filter = compile(profile, spec.capabilities);
    if (this.#filters.size >= filtersMax) this.#filters.clear();
    this.#filters.set(key, filter);
    return filter;
  }

  #running(id: string): { readonly spec: ContainerSpec; readonly process: ProcessIdentity } {
    const { spec, state, process: identity } = this.#entry(id);
    if (state.status !== "running" || identity === undefined)
      throw new Error(`container ${id} does not run: it is ${state.status}`);
    return { spec, process: identity };
  }

  #entry(id: string): Entry {
    const entry = this.#containers.get(id);
    if (entry === undefined) throw new Error(`container ${id} does not exist`);
    return entry;
  }

  #directory(id: string): string {
    return join(this.#containersDir, id);
  }

  #cgroupOf(spec: ContainerSpec): string {
    return join(this.#options.cgroupParent, spec.cgroupPath);
  }
}

function newEntry(spec: ContainerSpec): Entry {
  return { spec, state: { status: "created" }, process: undefined, starting: undefined, waiters: new Set() };
}

function compile(profile: unknown, capabilities: readonly string[]): Buffer {
  const [major, minor] = release().split(".").map(Number);
  try {
    return compileSeccomp(profile, { capabilities, kernel: [major ?? 0, minor ?? 0] }, ownSeccompMachine());
  } catch (cause) {
    throw new LaunchError(cause instanceof Error ? cause.message : "seccomp profile", 128, { cause });
  }
}

function checkId(id: string): void {
  if (!/^[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$/.test(id) || id.length > idBytesMax)
    throw new Error(
      `id ${JSON.stringify(id)}: 1 to ${idBytesMax} of a-z, A-Z, 0-9, "_", "." and "-", not beginning with "."`,
    );
}

function checkCgroupPath(path: string): void {
  const names = path.split("/");
  if (names.some((name) => !/^[a-zA-Z0-9_.:@-]+$/.test(name) || name === "." || name === ".."))
    throw new Error(`cgroup path ${JSON.stringify(path)}: names of letters, digits and _.:@-, with slashes between`);
}

function asLaunchError(error: unknown, ops: readonly LaunchOp[]): unknown {
  if (!(error instanceof LauncherError)) return error;
  if (error.errno === eremoteio) return ociLaunchError(error.what, error);
  const [name, ...args] = (error.opIndex === undefined ? undefined : ops[error.opIndex]) ?? [];
  const subPathOf = (name === "bind" || name === "hold") && args[1] !== "" ? String(args[2]) : undefined;
  return new LaunchError(error.message, name === "exec" ? execExitCode(error.errno) : 128, { cause: error, subPathOf });
}

function execExitCode(errno: number): number {
  if (errno === enoent || errno === enotdir) return 127;
  return [eacces, enoexec, eisdir, eperm].includes(errno) ? 126 : 128;
}
