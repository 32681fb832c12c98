// Launch plans of containers that another OCI runtime makes: the monitor prepares root and mounts in a mount namespace that ends with
// the container, calls the runtime there, and watches the process that it leaves behind (launcher/plan-delegate.c). Pure.
import type { ParentPlan } from "./cgroups.ts";
import type { LaunchOp } from "./launch-op.ts";
import type { OciMounts } from "./oci-mounts.ts";
import { planRootfs } from "./plan-mounts.ts";
import { planUsers } from "./plan-namespaces.ts";
import type { ContainerSpec, ExecRequest } from "./runtime.ts";

/** How the runtime is called. */
export interface OciCommand {
  /** Program and options that all its commands take. */
  readonly words: readonly string[];
  readonly env: readonly string[];
}

export interface OciPlanContext {
  readonly command: OciCommand;
  /** Holds config.json or process.json; the runtime is called in it. */
  readonly directory: string;
}

export interface OciStartContext extends OciPlanContext {
  readonly places: OciPlaces;
  readonly mounts: OciMounts;
  /** Of the cgroup above the container's own, which the runtime makes. */
  readonly above: ParentPlan | undefined;
  readonly oom: { readonly path: string; readonly key: string } | undefined;
  readonly logFileBytesMax: number;
  readonly logFilesMax: number;
  readonly holdOutput: boolean;
}

/** Where root and staged mounts are, in the mount namespace in which the runtime is called. */
export interface OciPlaces {
  readonly rootfs: string;
  readonly stage: string;
  /** Covered by a file system that holds both. */
  readonly cover?: string;
}

export const stageName = "mounts";
/** Everybody may walk to it, and nobody has there what a container needs. */
const covered = "/dev/shm";

/** A root who is nobody on the host has to reach them as that, and the agent's own folders let nobody in. */
export function ociPlaces(
  spec: Pick<ContainerSpec, "idMapping">,
  { rootfsPath, bundle }: { readonly rootfsPath: string; readonly bundle: string },
): OciPlaces {
  return spec.idMapping === undefined
    ? { rootfs: rootfsPath, stage: `${bundle}/${stageName}` }
    : { rootfs: `${covered}/rootfs`, stage: `${covered}/${stageName}`, cover: covered };
}

const pidFile = "pid";
const consoleSocket = "console";

export function planOciStart(spec: ContainerSpec, context: OciStartContext): readonly LaunchOp[] {
  const { command, directory, above, oom, mounts, places } = context;
  const create = ["create", ...common(spec.terminal), spec.id];
  const start = [...command.words, "start", spec.id];
  return [
    ...(above?.directories ?? []).map((path): LaunchOp => ["make-directory", path]),
    ...(above?.passOn ?? []).map(({ path, value }): LaunchOp => ["try-write", path, value]),
    ...(above?.writes ?? []).map(
      ({ path, value, optional }): LaunchOp => [optional ? "try-write" : "write", path, value],
    ),
    ["stdio", "pipe", spec.stdin && !spec.terminal ? "1" : "0"],
    ...(context.holdOutput ? [["hold-output"] satisfies LaunchOp] : []),
    ...(spec.logPath === undefined
      ? []
      : [["log", spec.logPath, context.logFileBytesMax, context.logFilesMax] satisfies LaunchOp]),
    ...(oom === undefined ? [] : [["oom-counter", oom.path, oom.key] satisfies LaunchOp]),
    [
      "delegate",
      `${directory}/${pidFile}`,
      consoleOf(spec.terminal, directory),
      start.length,
      ...start,
      ...command.env,
    ],
    ["clone", "mount"],
    ...planUsers(spec),
    ...mounts.holds,
    ["private-mounts"],
    ...(places.cover === undefined ? [] : [["cover", places.cover, "rootfs", stageName] satisfies LaunchOp]),
    ...planRootfs(spec, places.rootfs),
    ["stage", places.stage],
    ...mounts.places,
    ...become(context, create),
  ];
}

export function planOciExec(
  spec: ContainerSpec,
  request: Pick<ExecRequest, "terminal" | "stdin">,
  context: OciPlanContext,
): readonly LaunchOp[] {
  const { directory } = context;
  const exec = ["exec", "--detach", "--process", "process.json", ...common(request.terminal), spec.id];
  return [
    ["stdio", "pipe", request.stdin && !request.terminal ? "1" : "0"],
    ["delegate", `${directory}/${pidFile}`, consoleOf(request.terminal, directory), 0],
    ["clone", ""],
    // Runtimes leave a further process as they were called themselves.
    ["try-write", "/proc/self/oom_score_adj", spec.resources.oomScoreAdj ?? 0],
    ...become(context, exec),
  ];
}

/** The runtime is called in the directory, so that the paths stay short: those of sockets must. */
function common(terminal: boolean): readonly string[] {
  return ["--pid-file", pidFile, ...(terminal ? ["--console-socket", consoleSocket] : [])];
}

function consoleOf(terminal: boolean, directory: string): string {
  return terminal ? `${directory}/${consoleSocket}` : "";
}

function become({ command, directory }: OciPlanContext, args: readonly string[]): readonly LaunchOp[] {
  const words = [...command.words, ...args];
  return [["session"], ["die-with-monitor"], ["cwd", directory], ["exec", words.length, ...words, ...command.env]];
}
