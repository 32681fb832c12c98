// Launch plans: what has to be done, one system call or few at a time, to get from a container's spec to its running process.
// Pure. The launcher performs the ops in this order (node-agent/launcher/README.md lists them).
import type { ExecTarget, LaunchContext, LaunchOp } from "./launch-op.ts";
import { joinCgroup, planCgroupEntry, planCgroupMake, planCgroupUse } from "./plan-cgroups.ts";
import { planHeld, planHeldRoot } from "./plan-mounts.ts";
import {
  isOwn,
  planClone,
  planHeldNamespaces,
  planHeldSysctls,
  planNamespaces,
  planOwner,
  planSysctls,
} from "./plan-namespaces.ts";
import { mergeEnv, planBounding, planProcess } from "./plan-process.ts";
import { cgroupsToShow, ownMounts, planFiles, planStage, stageOf } from "./plan-stage.ts";
import type { ContainerSpec, ExecRequest } from "./runtime.ts";

/**
 * Throws LaunchError for what a spec asks and cannot have. It begins with what containers of a kind have in common, so that a sandbox that
 * has come so far may wait for it (`commonOps`).
 */
export function planLaunch(spec: ContainerSpec, context: LaunchContext): readonly LaunchOp[] {
  const { cgroup } = context;
  const staged = stageOf(spec, cgroup);
  const entry = planCgroupEntry(spec, context, cgroupsToShow(spec, cgroup, staged));
  // Cgroups whose places are there are made while the child is at work with its root.
  const [first, last] = staged.cgroups ? [undefined, entry] : [entry, undefined];
  // A user namespace that is entered later would give all of it back.
  const [ahead, bounding] = spec.idMapping === undefined ? [planBounding(spec), []] : [[], planBounding(spec)];
  return [
    ...(cgroup?.join.type === "into" ? [...planCgroupMake(context), ...planCgroupUse(context)] : []),
    ...planStdio(spec),
    ...planClone(spec),
    ["die-with-monitor"],
    ...planOwner(spec),
    ...(isOwn(spec, "network") ? [["loopback"] satisfies LaunchOp] : []),
    ["staging"],
    ...planStage(spec, context, staged.early),
    ...ahead,
    ["monitor"],
    ...(context.holdOutput === true ? [["hold-output"] satisfies LaunchOp] : []),
    ...(spec.logPath === undefined
      ? []
      : [["log", spec.logPath, context.logFileBytesMax, context.logFilesMax] satisfies LaunchOp]),
    ...(first?.monitor ?? []),
    ["oom-score", oomScoreOf(spec)],
    ...planHeldNamespaces(spec),
    ...planHeldSysctls(spec),
    ...planHeldRoot(spec, context.rootfsPath),
    ...ownMounts(spec, cgroup, staged).flatMap((mount) => planHeld(mount, context.rootfsPath)),
    ["hand-over"],
    ...(first?.child ?? []),
    ...planNamespaces(spec),
    ...planSysctls(spec),
    ...planStage(spec, context, staged.late),
    ["root"],
    ...planFiles(spec, context, staged),
    ...(last === undefined
      ? []
      : [["monitor"] satisfies LaunchOp, ...last.monitor, ["hand-over"] satisfies LaunchOp, ...last.child]),
    ["pivot"],
    ...planProcess(spec, context.seccompFilter, { enterUsers: ["enter-users"], bounding }),
    ["exec", spec.args.length, ...spec.args, ...spec.env],
  ];
}

/** The beginning of a launch plan that other containers' plans may share; undefined where a sandbox cannot wait for the rest. */
export function commonOps(ops: readonly LaunchOp[]): readonly LaunchOp[] | undefined {
  const end = ops.findIndex(([name]) => name === "monitor");
  // What another runtime makes begins otherwise.
  return end === -1 || ops.slice(0, end).some(([name]) => bindsToOne.has(name)) ? undefined : ops.slice(0, end);
}

/** Version 2's cgroups are entered by clone; and what waited in another container's process namespace would be seen there. */
const bindsToOne: ReadonlySet<string> = new Set(["into-cgroup", "pid-namespace"]);

/** Another process in a running container, with the same limits. */
export function planExec(
  spec: ContainerSpec,
  target: ExecTarget,
  request: ExecRequest,
  context: Pick<LaunchContext, "cgroup" | "seccompFilter">,
): readonly LaunchOp[] {
  const types = new Set(spec.namespaces.map(({ type }) => type));
  const entered = ["mount", ...(["network", "ipc", "uts", "cgroup"] as const).filter((type) => types.has(type))];
  const { cgroup } = context;
  return [
    ["stdio", request.terminal ? "terminal" : "pipe", request.stdin ? "1" : "0"],
    ...(cgroup?.join.type === "into" ? [["into-cgroup", cgroup.join.directory] satisfies LaunchOp] : []),
    ["target", target.pid, target.startTicks],
    ...(types.has("pid") ? [["enter", "pid"] satisfies LaunchOp] : []),
    ["clone", ""],
    ...joinCgroup(cgroup),
    ["try-write", "/proc/self/oom_score_adj", oomScoreOf(spec)],
    ["enter", entered.join(" ")],
    ...(request.terminal ? [["terminal", "0"] satisfies LaunchOp] : []),
    ...planProcess(execSpec(spec, request), request.privileged === true ? undefined : context.seccompFilter, {
      enterUsers: ["enter", "user"],
      bounding: planBounding(execSpec(spec, request)),
    }),
    ["exec", request.args.length, ...request.args, ...mergeEnv(spec.env, request.env ?? [])],
  ];
}

/** Who starts it is spared by the kernel when memory runs out, which a container must not inherit. */
function oomScoreOf({ resources }: ContainerSpec): number {
  return resources.oomScoreAdj ?? 0;
}

function execSpec(spec: ContainerSpec, request: ExecRequest): ContainerSpec {
  return {
    ...spec,
    cwd: request.cwd ?? spec.cwd,
    user: request.user ?? spec.user,
    privileged: spec.privileged || request.privileged === true,
  };
}

function planStdio(spec: ContainerSpec): readonly LaunchOp[] {
  // Pipes also without a log: someone may attach.
  return [["stdio", spec.terminal ? "terminal" : "pipe", spec.stdin ? "1" : "0"]];
}
