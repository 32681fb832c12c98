// The container runtime's face. It knows containers, never pods; its vocabulary is the OCI runtime specification's.
// Implementations: linux (the launcher), and one for the simulator. One contract suite runs against both.
import type { Device } from "./defaults.ts";

export interface Mount {
  readonly destination: string;
  /** "bind", "overlay", "proc", "tmpfs", … */
  readonly type: string;
  readonly source: string;
  /** Of a bind mount: what lies there below `source` is mounted; made when missing, refused when a link leads out of `source`. */
  readonly subPath?: string;
  readonly options: readonly string[];
}

export interface Namespace {
  readonly type: "pid" | "network" | "mount" | "ipc" | "uts" | "cgroup" | "user";
  /** Join this one (/proc/N/ns/net, or a bind mount) instead of making a new one. */
  readonly path?: string;
}

/** Users and groups 0 to `size` of a user namespace are `hostId` and those after it on the host. */
export interface IdMapping {
  readonly hostId: number;
  readonly size: number;
}

/** A file of a cgroup; its controller's name comes first, as in "cpuset.cpus". */
export interface CgroupFile {
  readonly name: string;
  readonly value: string;
  /** Kernels may be built without it. */
  readonly optional?: boolean;
}

/** A limit of a kind that few containers have, in the words of each version; without any where the kernel has nothing like it. */
export interface RareLimit {
  readonly v1: readonly CgroupFile[];
  readonly v2: readonly CgroupFile[];
}

export interface Resources {
  readonly cpuShares?: number;
  /** Microseconds of CPU per `cpuPeriodUs`. */
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly memoryBytesMax?: number;
  /** Memory and swap together; absent: no swap beside `memoryBytesMax`; -1: any. */
  readonly memorySwapBytesMax?: number;
  /** What it keeps when the machine's memory is short. */
  readonly memoryReservationBytes?: number;
  readonly pidsMax?: number;
  /** Bytes of pages of each size, which the kernel writes as "2MB", "1GB". */
  readonly hugepages?: readonly { readonly pageSize: string; readonly bytesMax: number }[];
  readonly oomScoreAdj?: number;
  readonly rare?: readonly RareLimit[];
}

/** When a container's log begins a new file, and how many are kept. */
export interface LogLimits {
  readonly logFileBytesMax: number;
  readonly logFilesMax: number;
}

/** What a cgroup lets through; undefined numbers are all. */
export interface DeviceRule {
  readonly type: "c" | "b";
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface ContainerSpec {
  /** Unique on the node; [a-zA-Z0-9_.-]+ */
  readonly id: string;
  /** The handler of the OCI runtime that makes it; absent, "" or "naru": the built-in one. */
  readonly runtime?: string;
  /** Free for the caller (pod uid, container name, attempt); comes back from `list`, also after a restart of the agent. */
  readonly labels: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly terminal: boolean;
  /** Keeps stdin open for attach. */
  readonly stdin: boolean;
  readonly hostname?: string;
  /** What becomes "/": usually one overlay mount, as images/ returns it. */
  readonly rootfs: Mount;
  readonly readonlyRootfs: boolean;
  readonly mounts: readonly Mount[];
  readonly namespaces: readonly Namespace[];
  /** Of its user namespace, which it joins by path. */
  readonly idMapping?: IdMapping;
  /** Below the node's own cgroup, such as "pod<uid>/<id>". */
  readonly cgroupPath: string;
  readonly resources: Resources;
  /** Of the cgroup above its own, which it shares with others. */
  readonly resourcesAbove?: Resources;
  /** "CAP_CHOWN", … the whole set, bounding, effective and permitted alike. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly privileged: boolean;
  readonly seccomp: "default" | "unconfined" | { readonly profile: unknown };
  /** The name of an AppArmor profile that is loaded; absent: none. */
  readonly appArmorProfile?: string;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  /** Besides those that every container has. */
  readonly devices?: readonly AllowedDevice[];
  /** Absolute path of its log file, in the CRI format (time stream P|F text); absent: output is dropped. */
  readonly logPath?: string;
  /** Absent: three files of 10 MB. */
  readonly logLimits?: LogLimits;
  /** Devices that it may open without finding them in /dev. */
  readonly deviceRules?: readonly DeviceRule[];
}

export interface AllowedDevice extends Device {
  /** Some of "rwm": read, write, make. */
  readonly access: string;
}

export type ContainerState =
  | { readonly status: "created" }
  | { readonly status: "running"; readonly pid: number; readonly startedAtMs: number }
  | {
      readonly status: "stopped";
      readonly exitCode: number;
      /** Set when a signal ended it; then exitCode is 128 + signal. */
      readonly signal?: number;
      readonly oomKilled: boolean;
      readonly startedAtMs: number;
      readonly finishedAtMs: number;
    };

export interface Container {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As its spec has it. */
  readonly cgroupPath: string;
  readonly state: ContainerState;
}

/** A start that failed: which step, on what, and the kernel's reason, such as "exec /app: no such file or directory". */
export class LaunchError extends Error {
  /** As runc and Docker report: 127 not found, 126 cannot be executed, 128 everything else. */
  readonly exitCode: number;
  /** The mount's destination when it was a subPath that could not be had. */
  readonly subPathOf: string | undefined;

  constructor(message: string, exitCode: number, options?: ErrorOptions & { readonly subPathOf?: string | undefined }) {
    super(message, options);
    this.name = "LaunchError";
    this.exitCode = exitCode;
    this.subPathOf = options?.subPathOf;
  }
}

export interface ExecRequest {
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Absent: the container's. */
  readonly user?: ContainerSpec["user"];
  /** With every capability and no system call filter, though the container is not so. */
  readonly privileged?: boolean;
}

/** A process with its streams; also what attach gives. */
export interface ProcessStreams {
  /** Absent when stdin was not asked for. */
  readonly stdin: NodeJS.WritableStream | undefined;
  readonly stdout: NodeJS.ReadableStream;
  /** Absent with a terminal: everything comes on stdout. */
  readonly stderr: NodeJS.ReadableStream | undefined;
  resize(size: { readonly columns: number; readonly rows: number }): void;
  /** Ends what exec started; leaves an attached container alone. */
  kill(): void;
  readonly exit: Promise<{ readonly exitCode: number }>;
}

export interface ContainerStats {
  readonly cpuUsageNs: number;
  readonly memoryUsageBytes: number;
  readonly memoryWorkingSetBytes: number;
  readonly pids: number;
  readonly oomKills: number;
  /** Absent where nobody counts so much. */
  readonly detail?: UsageDetail;
}

export interface UsageDetail {
  readonly memoryAnonymousBytes: number;
  readonly memoryCacheBytes: number;
  readonly memorySwapBytes: number;
  /** Of its CPU limit: how many began, and in how many it had to wait, for how long. */
  readonly cpuPeriods: number;
  readonly cpuThrottledPeriods: number;
  readonly cpuThrottledNs: number;
}

/** What makes containers here, and what it can. */
export interface RuntimeHandler {
  /** "" is the one that containers get who name none. */
  readonly name: string;
  readonly features: { readonly recursiveReadOnlyMounts: boolean; readonly userNamespaces: boolean };
}

export interface Runtime {
  readonly handlers: readonly RuntimeHandler[];
  /** Writes down what is wanted; nothing runs yet. */
  create(spec: ContainerSpec): Promise<void>;
  /**
   * Resolves with the pid once exec has succeeded; rejects with LaunchError. With `holdOutput` nothing of its output is read before
   * the first `attach`, which so misses nothing, however short the process lives; after 5 s it is read anyway.
   */
  start(id: string, options?: { readonly holdOutput?: boolean }): Promise<{ readonly pid: number }>;
  /** Signal number to the container's first process, or to all of them. Silent when it has ended. */
  signal(id: string, signal: number, target?: "first" | "all"): Promise<void>;
  /** Resolves when it has stopped; also for one that stopped while no agent ran. */
  wait(id: string, signal?: AbortSignal): Promise<Extract<ContainerState, { status: "stopped" }>>;
  exec(id: string, request: ExecRequest, signal?: AbortSignal): Promise<ProcessStreams>;
  attach(id: string, signal?: AbortSignal): Promise<ProcessStreams>;
  stats(id: string): Promise<ContainerStats>;
  /** Process numbers as the node sees them. */
  processes(id: string): Promise<readonly number[]>;
  /** Freezes all its processes; again does no harm. */
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  /** Changes the limits, of a running one at once; those of the cgroup above it too when they are given. */
  update(id: string, resources: Resources, above?: Resources): Promise<void>;
  /**
   * Limits what all containers whose cgroup path begins with this name may use together. The group is made when it is not there, and
   * stays when the last of them has gone.
   */
  limitGroup(name: string, resources: Resources): void;
  /** Kills what still runs and removes everything it had; can be called again. */
  remove(id: string): Promise<void>;
  /** All that exist, those from before a restart of the agent too. */
  list(): Promise<readonly Container[]>;
  /**
   * Makes a group of namespaces that containers share (a pod's network, ipc, uts), held without a process; with `sharePids` a pid
   * namespace too, which a small process holds. Can be called again.
   */
  createSandbox(
    id: string,
    options: {
      readonly hostname: string;
      readonly hostNetwork: boolean;
      readonly sysctls: Readonly<Record<string, string>>;
      /** A user namespace of its own, which rules over the others. */
      readonly idMapping?: IdMapping;
      readonly sharePids?: boolean;
      /** The handler for the containers to come; refused when there is no such runtime here. */
      readonly runtime?: string;
    },
  ): Promise<Sandbox>;
  removeSandbox(id: string): Promise<void>;
  listSandboxes(): Promise<readonly Sandbox[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Sandboxes of pods are named by the pods' uids; those that begin so belong to containers that no pod has. */
export const ownSandboxPrefix = "own.";

export interface Sandbox {
  readonly id: string;
  /** Paths that Namespace.path accepts. */
  readonly networkPath: string;
  readonly ipcPath: string;
  readonly utsPath: string;
  /** Made with an `idMapping`. */
  readonly userPath?: string;
  readonly idMapping?: IdMapping;
  /** As `createSandbox` gave it, for one that shares pids. */
  readonly pidPath?: string;
  /** What its containers are made by, when that was said. */
  readonly runtime?: string;
}
