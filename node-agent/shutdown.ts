// The machine goes down: its pods are ended in time, those that others rely on last, and fail so that they are replaced elsewhere.
// Source: Kubernetes documentation, "Graceful node shutdown".
import type { Pod } from "../api/kinds/generated/types.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import type { PodWorker } from "./pods/pod-worker.ts";

export interface ShutdownTimes {
  /** For all pods together. */
  readonly graceMs: number;
  /** Of that, what is kept for critical ones. */
  readonly criticalGraceMs: number;
}

export interface ShutdownStage {
  readonly uids: readonly string[];
  readonly graceMs: number;
}

/** Priorities from here on are for what the cluster itself needs: system-cluster-critical and system-node-critical. */
const criticalPriority = 2_000_000_000;
const lookMs = 50;
/** What a kill may take beyond the grace period. */
const killMs = 2000;

export function planShutdown(pods: readonly Pod[], times: ShutdownTimes): readonly ShutdownStage[] {
  const isCritical = ({ spec }: Pod) => (spec?.priority ?? 0) >= criticalPriority;
  const uidsOf = (some: readonly Pod[]) => some.map(({ metadata }) => metadata?.uid ?? "");
  const criticalGraceMs = Math.min(times.criticalGraceMs, times.graceMs);
  return [
    { uids: uidsOf(pods.filter((pod) => !isCritical(pod))), graceMs: times.graceMs - criticalGraceMs },
    { uids: uidsOf(pods.filter(isCritical)), graceMs: criticalGraceMs },
  ].filter(({ uids }) => uids.length > 0);
}

/** Resolves when no container runs any more, or the time is over. */
export async function endPods(workers: readonly PodWorker[], times: ShutdownTimes, clock: Clock): Promise<void> {
  for (const { uids, graceMs } of planShutdown(
    workers.map(({ pod }) => pod),
    times,
  )) {
    const stage = workers.filter(({ uid }) => uids.includes(uid));
    for (const worker of stage) worker.shutDown(graceMs);
    const endMs = clock.monotonicMs() + graceMs + killMs;
    while (stage.some(({ isOver }) => !isOver) && clock.monotonicMs() < endMs) {
      await sleep(clock, lookMs, new AbortController().signal);
    }
  }
}
