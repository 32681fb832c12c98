// The plan of another process in a running container. Pure.
import type { ProcessIdentity } from "../runtime/container-directory.ts";
import { joinCgroup, type LaunchOp, planRlimit } from "../runtime/plan.ts";
import type { OciConfig } from "./config.ts";
import { type CreateContext, planOomScore, planProcess, planStdio } from "./plan.ts";
import type { ProcessConfig } from "./process-config.ts";

export function planOciExec(
  config: OciConfig,
  process: ProcessConfig,
  target: ProcessIdentity,
  context: Pick<CreateContext, "consoleSocket" | "cgroup" | "seccompFilter" | "newKeyring">,
): readonly LaunchOp[] {
  const types = new Set(config.namespaces.map(({ type }) => type));
  const entered = (["mount", "network", "ipc", "uts", "cgroup", "time"] as const).filter((type) => types.has(type));
  const { cgroup } = context.cgroup ?? {};
  return [
    ...planStdio(process, context.consoleSocket),
    ...(cgroup?.join.type === "into" ? [["into-cgroup", cgroup.join.directory] satisfies LaunchOp] : []),
    ["target", target.pid, target.startTicks],
    ...(types.has("pid") ? [["enter", "pid"] satisfies LaunchOp] : []),
    ["clone", ""],
    ...joinCgroup(cgroup),
    ...planOomScore(process),
    ["enter", entered.join(" ")],
    ...(process.terminal ? [["terminal", "0"] satisfies LaunchOp] : []),
    ...process.rlimits.map(planRlimit),
    ...planProcess(process, context),
    ["exec", process.args.length, ...process.args, ...process.env],
  ];
}
