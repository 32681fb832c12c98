// Containers that name another OCI runtime: what the Linux runtime asks of it in their place. Everything here is silent, or undefined,
// for containers of the built-in one.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import { readMountinfo } from "./cgroup-files.ts";
import { type CgroupLayout, detectAllCgroups, planCgroup, planParent } from "./cgroups.ts";
import { isAlive, type ProcessIdentity, readOptional } from "./container-directory.ts";
import { capabilityNames } from "./defaults.ts";
import { hostDevices } from "./host-devices.ts";
import type { LaunchOp } from "./launch-op.ts";
import { ociConfig } from "./oci-config.ts";
import { builtInHandlers, checkHandler, featuresOf } from "./oci-handlers.ts";
import { ociMounts } from "./oci-mounts.ts";
import { ociPlaces, planOciExec, planOciStart } from "./oci-plan.ts";
import { builtInHandler, type OciProgram } from "./oci-programs.ts";
import { bundleOf, OciRuntime } from "./oci-runtime.ts";
import { ociSeccomp } from "./oci-seccomp.ts";
import { type ContainerSpec, type ExecRequest, LaunchError, type RuntimeHandler } from "./runtime.ts";
import { ownSeccompMachine } from "./seccomp-machines.ts";

/** What they share with the built-in runtime's containers. */
export interface OciMachine {
  readonly rootfsPath: string;
  readonly cgroups: CgroupLayout | undefined;
  readonly cgroupParent: string;
  /** Undefined: no filter. */
  readonly seccompProfile: (spec: ContainerSpec) => unknown;
  readonly logFileBytesMax: number;
  readonly logFilesMax: number;
}

export interface OciRuntimesOptions {
  readonly programs: readonly OciProgram[];
  /** For the runtimes' own state. */
  readonly directory: string;
  readonly machine: OciMachine;
}

export interface DelegatedStart {
  readonly ops: readonly LaunchOp[];
  /** The error as the container's owner knows its mounts. */
  explain(error: unknown): unknown;
}

export interface DelegatedExec {
  readonly ops: readonly LaunchOp[];
  /** Once the process runs, or does not. */
  done(): void;
}

export class OciRuntimes {
  readonly #machine: OciMachine;
  readonly #programs: readonly OciProgram[];
  readonly #runtimes: ReadonlyMap<string, OciRuntime>;
  readonly handlers: readonly RuntimeHandler[];
  /** With trees that only these runtimes use; undefined without them. */
  readonly allCgroups: CgroupLayout | undefined;

  constructor({ programs, directory, machine }: OciRuntimesOptions) {
    this.#machine = machine;
    this.#programs = programs;
    const used = programs.filter(({ refused }) => refused === undefined);
    this.#runtimes = new Map(used.map((program) => [program.handler, new OciRuntime(program, directory)]));
    this.allCgroups =
      used.length === 0 || machine.cgroups === undefined ? undefined : detectAllCgroups(readMountinfo());
    this.handlers = [
      ...builtInHandlers,
      ...[...this.#runtimes].map(([name, runtime]) => ({ name, features: featuresOf(runtime.features()) })),
    ];
  }

  /** Throws for a handler that nothing here has. */
  check(handler: string | undefined): void {
    checkHandler(handler, this.handlers, this.#programs);
  }

  cgroupsOf(spec: ContainerSpec): CgroupLayout | undefined {
    return isBuiltIn(spec) ? undefined : (this.allCgroups ?? detectAllCgroups(readMountinfo()));
  }

  async planStart(
    wanted: ContainerSpec,
    containerDirectory: string,
    { holdOutput }: { readonly holdOutput: boolean },
  ): Promise<DelegatedStart | undefined> {
    const runtime = this.#of(wanted);
    if (runtime === undefined) return undefined;
    const spec = this.#within(wanted);
    // An earlier run, or one that was killed on its way.
    if (existsSync(bundleOf(containerDirectory))) await runtime.delete(spec.id);
    const { cgroups, cgroupParent, rootfsPath, logFileBytesMax, logFilesMax } = this.#machine;
    const bundle = bundleOf(containerDirectory);
    const places = ociPlaces(spec, { rootfsPath, bundle });
    const mounts = ociMounts(spec, places.stage);
    const cgroupsPath = join(cgroupParent, spec.cgroupPath);
    const config = ociConfig(spec, {
      rootfsPath: places.rootfs,
      cgroupsPath,
      mounts: mounts.mounts,
      rootfsPropagation: mounts.rootfsPropagation,
      seccomp: this.#seccomp(spec),
      hostDevices: spec.privileged ? hostDevices() : [],
      countsSwap: this.#countsSwap,
    });
    runtime.makeBundle(containerDirectory, config);
    const above =
      cgroups === undefined || spec.resourcesAbove === undefined
        ? undefined
        : planParent(cgroups, dirname(cgroupsPath), spec.resourcesAbove);
    const { cgroupPath: path, resources, privileged: allDevices } = spec;
    const oom =
      cgroups === undefined
        ? undefined
        : planCgroup(cgroups, { parent: cgroupParent, path, resources, allDevices }).oom;
    const { command } = runtime;
    return {
      ops: planOciStart(spec, {
        ...{ command, directory: bundle, places, mounts, above, oom, logFileBytesMax, logFilesMax, holdOutput },
      }),
      explain: (error) => {
        if (!(error instanceof LaunchError) || error.subPathOf === undefined) return error;
        const subPathOf = mounts.mounts.find(({ source }) => source === join(places.stage, error.subPathOf ?? ""));
        return new LaunchError(error.message, error.exitCode, { cause: error, subPathOf: subPathOf?.destination });
      },
    };
  }

  planExec(spec: ContainerSpec, containerDirectory: string, request: ExecRequest): DelegatedExec | undefined {
    const runtime = this.#of(spec);
    if (runtime === undefined) return undefined;
    const within = this.#within({ ...spec, privileged: spec.privileged || request.privileged === true });
    const directory = runtime.makeExec(containerDirectory, within, request);
    return {
      ops: planOciExec(spec, request, { command: runtime.command, directory }),
      done: () => rmSync(directory, { recursive: true, force: true }),
    };
  }

  /** False when it is not theirs to send. */
  async signal(spec: ContainerSpec, process: ProcessIdentity, signal: number): Promise<boolean> {
    const runtime = this.#known(spec);
    if (runtime === undefined) return false;
    await runtime.kill(spec.id, signal).catch((error: unknown) => {
      if (isAlive(process)) throw error;
    });
    return true;
  }

  async update(spec: ContainerSpec, containerDirectory: string): Promise<void> {
    await this.#known(spec)?.update(spec, containerDirectory, this.#countsSwap);
  }

  /** What the runtime knows of it, and what of it still runs. */
  async remove(spec: ContainerSpec, containerDirectory: string): Promise<void> {
    const runtime = this.#known(spec);
    if (runtime !== undefined && existsSync(bundleOf(containerDirectory))) await runtime.delete(spec.id);
  }

  /** Throws when the node has it no more. */
  #of(spec: ContainerSpec): OciRuntime | undefined {
    if (isBuiltIn(spec)) return undefined;
    this.check(spec.runtime);
    return this.#known(spec);
  }

  /** Undefined also for one that the node has no more: what it made is a process with a cgroup all the same. */
  #known({ runtime = "" }: ContainerSpec): OciRuntime | undefined {
    return this.#runtimes.get(runtime);
  }

  /** What the agent does not hold itself, nobody here can give. */
  #within(spec: ContainerSpec): ContainerSpec {
    const held = heldCapabilities();
    const wanted = spec.privileged ? capabilityNames : spec.capabilities;
    const capabilities = wanted.filter((name) => held.includes(name) || !capabilityNames.includes(name));
    const { oomScoreAdj = 0 } = spec.resources;
    // Sparing a process more than oneself takes a privilege.
    const least = held.includes("CAP_SYS_RESOURCE")
      ? oomScoreAdj
      : Number(readOptional("/proc/self/oom_score_adj") ?? 0);
    return {
      ...spec,
      capabilities,
      resources: { ...spec.resources, oomScoreAdj: Math.max(oomScoreAdj, least) },
    };
  }

  #seccomp(spec: ContainerSpec) {
    const profile = this.#machine.seccompProfile(spec);
    if (profile === undefined) return undefined;
    const [major = 0, minor = 0] = release().split(".").map(Number);
    try {
      return ociSeccomp(profile, { capabilities: spec.capabilities, kernel: [major, minor] }, ownSeccompMachine());
    } catch (cause) {
      throw new LaunchError(cause instanceof Error ? cause.message : "seccomp profile", 128, { cause });
    }
  }

  get #countsSwap(): boolean {
    const { cgroups } = this.#machine;
    if (cgroups?.version !== 1) return true;
    const memory = cgroups.mounts["memory"];
    return memory !== undefined && readdirSync(memory).includes("memory.memsw.limit_in_bytes");
  }
}

function isBuiltIn({ runtime = "" }: ContainerSpec): boolean {
  return runtime === "" || runtime === builtInHandler;
}

function heldCapabilities(): readonly string[] {
  const mask = BigInt(`0x${/^CapPrm:\s+([0-9a-f]+)$/m.exec(readOptional("/proc/self/status") ?? "")?.[1] ?? "0"}`);
  return capabilityNames.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}
