// The runtime on Linux: plans in TypeScript, performed by the launcher. What it knows is on disk too, so that a new agent goes on. This
// puts its parts together; what is done with a container stands in the container-*.ts beside it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { spreadDirectory } from "../../lib/spread-directory.ts";
import { readMountinfo } from "./cgroup-files.ts";
import { type CgroupLayout, detectCgroups } from "./cgroups.ts";
import { ContainerCgroups } from "./container-cgroups.ts";
import { listDirectories, type Stopped } from "./container-directory.ts";
import { removeContainer, signalContainer } from "./container-end.ts";
import { ContainerEntries } from "./container-entries.ts";
import { checkCgroupPath, checkId } from "./container-names.ts";
import { logLimits, planStart, type StartParts, startContainer } from "./container-start.ts";
import { attachToContainer, execInContainer } from "./container-streams.ts";
import type { RequestArguments } from "./launcher-client.ts";
import { LauncherProcess } from "./launcher-process.ts";
import type { OciProgram } from "./oci-programs.ts";
import { OciRuntimes } from "./oci-runtimes.ts";
import {
  type Container,
  type ContainerSpec,
  type ContainerStats,
  type ExecRequest,
  LaunchError,
  type ProcessStreams,
  type Resources,
  type Runtime,
  type Sandbox,
} from "./runtime.ts";
import { createSandbox, listSandboxes, removeSandbox } from "./sandboxes.ts";
import { SeccompFilters } from "./seccomp-filters.ts";
import { WaitingSandboxes } from "./waiting-sandboxes.ts";

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

/** Opens what an earlier agent left, or a fresh one; starts the launcher when none answers. */
export async function openLinuxRuntime(options: LinuxRuntimeOptions): Promise<LinuxRuntime> {
  const runtime = new LinuxRuntime(options);
  await runtime.open();
  return runtime;
}

export class LinuxRuntime implements Runtime {
  readonly #containersDir: string;
  readonly #sandboxesDir: string;
  readonly #rootfsDir: string;
  readonly #cgroups: ContainerCgroups;
  readonly #entries: ContainerEntries;
  readonly #oci: OciRuntimes;
  readonly #launcher: LauncherProcess;
  /** What the functions for a container's start, streams and end need. */
  readonly #parts: StartParts;

  constructor(options: LinuxRuntimeOptions) {
    const { runDir, stateDir, cgroupParent, clock, log } = options;
    this.#containersDir = join(stateDir, "containers");
    this.#sandboxesDir = join(runDir, "sandboxes");
    this.#rootfsDir = join(runDir, "rootfs");
    const layout = options.cgroups === "none" ? undefined : (options.cgroups ?? detectCgroups(readMountinfo()));
    const cgroups = new ContainerCgroups({ layout, parent: cgroupParent, clock });
    const seccomp = new SeccompFilters();
    const waiting = new WaitingSandboxes(options.waiting ?? 0, (args) => this.request("pool", args), log);
    this.#cgroups = cgroups;
    this.#entries = new ContainerEntries({
      directory: this.#containersDir,
      killRest: (spec) => cgroups.kill(spec),
      clock,
      log,
    });
    this.#oci = new OciRuntimes({
      programs: options.ociPrograms ?? [],
      directory: join(runDir, "oci"),
      machine: {
        rootfsPath: this.#rootfsDir,
        cgroups: layout,
        cgroupParent,
        seccompProfile: (spec) => seccomp.profileOf(spec),
        ...logLimits,
      },
    });
    this.#launcher = new LauncherProcess({
      ...options,
      containersDir: this.#containersDir,
      onContainer: (event, id, text) => this.#entries.onContainer(event, id, text),
      onReconnected: () => {
        waiting.forget();
        this.#entries.refresh();
      },
    });
    this.#parts = {
      ...{ entries: this.#entries, launcher: this.#launcher, oci: this.#oci, cgroups, seccomp, waiting, clock },
      rootfsPath: this.#rootfsDir,
    };
  }

  async open(): Promise<void> {
    for (const path of [this.#containersDir, this.#sandboxesDir, this.#rootfsDir])
      mkdirSync(path, { recursive: true, mode: 0o700 });
    await spreadDirectory(this.#containersDir);
    this.#cgroups.makeShared();
    await this.#launcher.client();
    this.#entries.open();
  }

  /** Performs an op of the launcher (node-agent/launcher/README.md); rejects with LauncherError. */
  request(...request: RequestArguments): Promise<readonly string[]> {
    return this.#launcher.request(...request);
  }

  get handlers(): Runtime["handlers"] {
    return this.#oci.handlers;
  }

  async create(spec: ContainerSpec): Promise<void> {
    checkId(spec.id);
    this.#oci.check(spec.runtime);
    if (this.#entries.find(spec.id) !== undefined) throw new Error(`container ${spec.id} exists already`);
    if (spec.args.length === 0) throw new LaunchError("exec: no program is named", 127);
    checkCgroupPath(spec.cgroupPath);
    this.#entries.add(spec);
  }

  start(id: string, { holdOutput = false }: { readonly holdOutput?: boolean } = {}): Promise<{ readonly pid: number }> {
    return startContainer(this.#parts, id, { holdOutput });
  }

  /** Has sandboxes wait for containers of this one's kind, and says whether they do. */
  async warm(id: string): Promise<boolean> {
    const ops = planStart(this.#parts, this.#entries.get(id).spec, { holdOutput: false });
    return this.#parts.waiting.isFull(ops);
  }

  signal(id: string, signal: number, target: "first" | "all" = "first"): Promise<void> {
    return signalContainer(this.#parts, id, { signal, target });
  }

  wait(id: string, signal?: AbortSignal): Promise<Stopped> {
    return this.#entries.wait(id, signal);
  }

  exec(id: string, request: ExecRequest, signal?: AbortSignal): Promise<ProcessStreams> {
    return execInContainer(this.#parts, { id, request }, signal);
  }

  attach(id: string, signal?: AbortSignal): Promise<ProcessStreams> {
    return attachToContainer(this.#parts, id, signal);
  }

  /** What all containers of the node may use together, those that run already among them. */
  limitAll(resources: Resources): void {
    this.#cgroups.limitAll(resources);
  }

  limitGroup(name: string, resources: Resources): void {
    this.#cgroups.limitGroup(name, resources);
  }

  /** What they use together; undefined where nobody counts. */
  statsOfAll(): ContainerStats | undefined {
    return this.#cgroups.statsOfAll();
  }

  async stats(id: string): Promise<ContainerStats> {
    return this.#cgroups.stats(this.#entries.get(id).spec);
  }

  async processes(id: string): Promise<readonly number[]> {
    return this.#cgroups.processes(this.#entries.get(id).spec);
  }

  async pause(id: string): Promise<void> {
    await this.#cgroups.freeze(this.#entries.running(id).spec, "frozen");
  }

  async resume(id: string): Promise<void> {
    await this.#cgroups.freeze(this.#entries.running(id).spec, "thawed");
  }

  async update(id: string, resources: Resources, above?: Resources): Promise<void> {
    const entry = this.#entries.get(id);
    const spec = { ...entry.spec, resources, ...(above === undefined ? {} : { resourcesAbove: above }) };
    this.#cgroups.update(spec);
    if (entry.state.status === "running") await this.#oci.update(spec, this.#entries.directoryOf(id));
    this.#entries.replace(id, spec);
  }

  remove(id: string): Promise<void> {
    return removeContainer(this.#parts, id);
  }

  async list(): Promise<readonly Container[]> {
    return this.#entries.list();
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
    for (const { id } of this.#entries.list()) await this.remove(id);
    for (const id of listDirectories(this.#sandboxesDir)) await this.removeSandbox(id);
    await this.#cgroups.removeAll();
    await this.request("stop", []);
    await this.#launcher.close();
  }

  /** Lets go; containers and launcher go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#launcher.close();
  }
}
