// What should become of a pod here and now: run, or end and why. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { Intent } from "./pod-state.ts";

/** The server does not know it any more: nobody waits for a long farewell. */
export const removedGraceMs = 1000;
/** What it uses too much of is needed now. */
const evictedGraceMs = 1000;

export interface IntentInput {
  readonly pod: Pod;
  /** Its object is gone, or has become another pod's: what time it has to end, ms; undefined: it is there. */
  readonly removed: number | undefined;
  /** When its first container could start; counts for activeDeadlineSeconds. */
  readonly startedAtMs: number;
  /** Set by the fence when the pod may have been started elsewhere. */
  readonly fenced: boolean;
  /** Why it cannot stay here: the reason and words of its failure. */
  readonly ending: Ending | undefined;
}

export interface Ending {
  readonly reason: string;
  readonly message: string;
  /** Time for its containers to end by themselves; absent: hardly any. */
  readonly graceMs?: number;
}

export function intentOf({ pod, removed, startedAtMs, fenced, ending }: IntentInput, nowMs: number): Intent {
  if (removed !== undefined) return { do: "stop", graceMs: removed, leave: "nothing", reason: "", message: "" };
  if (pod.metadata?.deletionTimestamp !== undefined) {
    const seconds = pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
    return { do: "stop", graceMs: seconds * 1000, leave: "nothing", reason: "", message: "" };
  }
  if (fenced) {
    const message = "The node lost its server for longer than this pod may run unseen";
    return { do: "stop", graceMs: removedGraceMs, leave: "results", reason: "NodeLost", message };
  }
  if (ending !== undefined)
    return { do: "stop", leave: "results", ...ending, graceMs: ending.graceMs ?? evictedGraceMs };
  const deadlineMs = deadlineOf(pod, startedAtMs);
  if (deadlineMs !== undefined && nowMs >= deadlineMs) {
    const message = "Pod was active on the node longer than the specified deadline";
    const graceMs = (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
    return { do: "stop", graceMs, leave: "results", reason: "DeadlineExceeded", message };
  }
  return { do: "run" };
}

/** When activeDeadlineSeconds is over. */
export function deadlineOf(pod: Pod, startedAtMs: number): number | undefined {
  const seconds = pod.spec?.activeDeadlineSeconds;
  return seconds === undefined ? undefined : startedAtMs + seconds * 1000;
}
