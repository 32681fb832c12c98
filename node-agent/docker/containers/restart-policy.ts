// Whether an ended container starts again, and how long it waits before. Pure.
import type { RestartPolicy } from "./record.ts";

export interface Ended {
  readonly exitCode: number;
  /** Restarts by the policy so far. */
  readonly restartCount: number;
  readonly stoppedByUser: boolean;
  readonly ranMs: number;
  /** Of the wait before; 0: there was none. */
  readonly lastWaitMs: number;
}

export type RestartDecision = { readonly restart: false } | { readonly restart: true; readonly waitMs: number };

const waitMsLeast = 100;
const waitMsMost = 60_000;
/** Whoever ran so long begins anew. */
const ranWellMs = 10_000;

export function decideRestart(policy: RestartPolicy, ended: Ended): RestartDecision {
  if (ended.stoppedByUser || !wants(policy, ended)) return { restart: false };
  const doubled = ended.ranMs > ranWellMs || ended.lastWaitMs === 0 ? waitMsLeast : ended.lastWaitMs * 2;
  return { restart: true, waitMs: Math.min(doubled, waitMsMost) };
}

/** After the agent was away: "always" starts even what someone stopped. */
export function startsWithAgent(
  policy: RestartPolicy,
  ended: Pick<Ended, "exitCode" | "restartCount" | "stoppedByUser">,
): boolean {
  if (policy.Name === "always") return true;
  return !ended.stoppedByUser && wants(policy, ended);
}

function wants(policy: RestartPolicy, { exitCode, restartCount }: Pick<Ended, "exitCode" | "restartCount">): boolean {
  switch (policy.Name) {
    case "no":
      return false;
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      return exitCode !== 0 && (policy.MaximumRetryCount === 0 || restartCount < policy.MaximumRetryCount);
  }
}
