// The plan of another process in a running container. Pure.
import type { ProcessIdentity } from "../runtime/container-directory.ts";
import type { LaunchOp } from "../runtime/launch-op.ts";
import { joinCgroup } from "../runtime/plan-cgroups.ts";
import type { OciConfig } from "./config.ts";
import { type CreateContext, planListener, planOomScore, planPlace, planProcess, planStdio } from "./plan-process.ts";
import type { ProcessConfig } from "./process-config.ts";
import { planAffinity } from "./scheduling.ts";

export function planOciExec(
  config: OciConfig,
  process: ProcessConfig,
  target: ProcessIdentity,
  context: Pick<CreateContext, "consoleSocket" | "cgroup" | "seccompFilter" | "newKeyring" | "state">,
): readonly LaunchOp[] {
  const types = new Set(config.namespaces.map(({ type }) => type));
  const entered = (["mount", "network", "ipc", "uts", "cgroup", "time"] as const).filter((type) => types.has(type));
  const { cgroup } = context.cgroup ?? {};
  return [
    ...planStdio(process, context.consoleSocket),
    ...planListener(context.seccompFilter),
    ...planAffinity(process.scheduling.affinity.initial),
    ...(cgroup?.join.type === "into" ? [["into-cgroup", cgroup.join.directory] satisfies LaunchOp] : []),
    ["target", target.pid, target.startTicks],
    ...(types.has("pid") ? [["enter", "pid"] satisfies LaunchOp] : []),
    ["clone", ""],
    ...joinCgroup(cgroup),
    ...planAffinity(process.scheduling.affinity.final),
    // It is told how the host counts it.
    ...(context.seccompFilter?.listener === undefined ? [] : [["sync"] satisfies LaunchOp]),
    ...planOomScore(process),
    ["enter", entered.join(" ")],
    ...(process.terminal ? [["terminal", "0"] satisfies LaunchOp] : []),
    ...planPlace(config, process, [["enter", "user"]]),
    ...planProcess(process, context, []),
    ["exec", process.args.length, ...process.args, ...process.env],
  ];
}
