// The part of a plan that is about the process itself: where it runs and who it is, up to its exec. Pure.
import type { LaunchOp } from "../runtime/launch-op.ts";
import { capabilityMask, planRlimit } from "../runtime/plan-process.ts";
import { knownCapabilities } from "./capabilities.ts";
import type { OciCgroup } from "./cgroup.ts";
import type { Hook, OciConfig } from "./config.ts";
import type { ProcessConfig } from "./process-config.ts";
import { planScheduling } from "./scheduling.ts";
import type { SeccompFilter } from "./seccomp-filter.ts";
import { ociVersion } from "./state.ts";
import { hostId } from "./users.ts";

export interface CreateContext {
  /** Where the process waits for its start. */
  readonly startSocket: string;
  readonly consoleSocket: string | undefined;
  readonly cgroup: OciCgroup | undefined;
  readonly seccompFilter: SeccompFilter | undefined;
  /** The state that hooks get, up to its pid and what comes behind it. */
  readonly state: readonly [before: string, behind: string];
  readonly newKeyring: boolean;
}

export function planStdio(process: ProcessConfig | undefined, consoleSocket: string | undefined): readonly LaunchOp[] {
  if (process?.terminal !== true) return [["stdio", "inherit", "1"]];
  const { columns = 0, rows = 0 } = process.consoleSize ?? {};
  return [
    ["stdio", "terminal", "1", columns, rows],
    ...(consoleSocket === undefined ? [] : [["console-socket", consoleSocket] satisfies LaunchOp]),
  ];
}

/** Who decides over calls that the filter leaves open is looked for before there is anything to undo. */
export function planListener(filter: SeccompFilter | undefined): readonly LaunchOp[] {
  return filter?.listener === undefined ? [] : [["seccomp-listener", filter.listener.path]];
}

/** The cgroup namespace is made in the user namespace, so that its root rules over that too. */
export function planEnterUsers({ namespaces }: OciConfig): readonly LaunchOp[] {
  const cgroup = namespaces.find(({ type }) => type === "cgroup");
  const own = cgroup !== undefined && cgroup.path === undefined;
  return [["enter-users"], ...(own ? [["unshare", "cgroup"] satisfies LaunchOp] : [])];
}

type ProcessContext = Pick<CreateContext, "seccompFilter" | "newKeyring" | "state">;

/** Where and under which limits it runs, while it may still say so; last, as `enter` says, in its user namespace. */
export function planPlace(
  { users, personality }: OciConfig,
  process: ProcessConfig | undefined,
  enter: readonly LaunchOp[],
): readonly LaunchOp[] {
  const stdio =
    process === undefined || users === undefined ? undefined : hostId(users.uids, process.user.uid, uidField);
  return [
    ...(process?.rlimits ?? []).map(planRlimit),
    ...(process === undefined ? [] : planScheduling(process.scheduling)),
    ...(personality === undefined ? [] : [["personality", personality] satisfies LaunchOp]),
    ...(stdio === undefined ? [] : [["own-stdio", stdio] satisfies LaunchOp]),
    ...(users === undefined ? [] : enter),
  ];
}

const uidField = "process.user.uid";

/** Who the process is, up to its exec; `hooks`: startContainer's. */
export function planProcess(
  process: ProcessConfig,
  context: ProcessContext,
  hooks: readonly Hook[],
): readonly LaunchOp[] {
  const { uid, gid, additionalGids } = process.user;
  const seccomp = planSeccomp(context);
  const { bounding, effective, permitted, inheritable, ambient } = process.capabilities;
  const mask = (names: readonly string[]) => capabilityMask(knownCapabilities(names));
  return [
    ["session"],
    ...(context.newKeyring ? [["keyring"] satisfies LaunchOp] : []),
    ...(process.umask === undefined ? [] : [["umask", process.umask] satisfies LaunchOp]),
    ["cwd", process.cwd],
    ["bounding", mask(bounding)],
    // Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter, which `capabilities` takes away.
    ...(process.noNewPrivileges ? [] : seccomp),
    ["user", uid, gid, ...additionalGids],
    ["capabilities", ...[effective, permitted, inheritable, ambient].map(mask)],
    // Programs of the image, which may do what the process may, and no more.
    ...hooks.map((hook) => planHook(hook, context.state)),
    ...(process.noNewPrivileges ? [["no-new-privileges"] satisfies LaunchOp, ...seccomp] : []),
  ];
}

function planSeccomp({ seccompFilter: filter, state: [before, behind] }: ProcessContext): readonly LaunchOp[] {
  if (filter === undefined) return [];
  const { bytes, flags, listener } = filter;
  if (listener === undefined) return flags === 0 ? [["seccomp", bytes]] : [["seccomp", bytes, flags]];
  const head = `${JSON.stringify({ ociVersion, fds: ["seccompFd"] }).slice(0, -1)},"pid":`;
  return [
    ["seccomp", bytes, flags, head, `,"metadata":${JSON.stringify(listener.metadata)},"state":${before}`, `${behind}}`],
  ];
}

export function planOomScore(process: ProcessConfig | undefined): readonly LaunchOp[] {
  const score = process?.oomScoreAdj;
  return score === undefined ? [] : [["write", "/proc/self/oom_score_adj", score]];
}

export function planHook(hook: Hook, [before, behind]: CreateContext["state"]): LaunchOp {
  return ["hook", hook.timeoutMs, before, behind, hook.path, hook.args.length, ...hook.args, ...hook.env];
}
