// The machine goes down: its pods are ended in time, those that others rely on last, and fail so that they are replaced elsewhere.
// Source: Kubernetes documentation, "Graceful node shutdown", shutdownGracePeriodByPodPriority.
import type { EndpointSlice, Pod } from "../api/kinds/generated/types.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import type { PodWorker } from "./pods/pod-worker.ts";

/** What pods from this priority on get, up to the next group's. */
export interface ShutdownGroup {
  readonly priority: number;
  readonly graceMs: number;
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
/** Services have so long to stop sending to pods that are about to end, of the time that these get. */
const leaveMsMax = 2000;
const leaveShareMax = 0.2;

/** All pods together get `graceMs`, of which `criticalGraceMs` is kept for critical ones. */
export function shutdownGroups(graceMs: number, criticalGraceMs: number): readonly ShutdownGroup[] {
  const kept = Math.min(criticalGraceMs, graceMs);
  return [
    { priority: 0, graceMs: graceMs - kept },
    { priority: criticalPriority, graceMs: kept },
  ];
}

/** "0=30,1000=60,2000000000=10": priorities with seconds, in any order. Throws for what it cannot read. */
export function parseShutdownGroups(text: string): readonly ShutdownGroup[] {
  const groups = text.split(",").map((part) => {
    const [, priority, seconds] = /^\s*(-?\d+)=(\d+)\s*$/.exec(part) ?? [];
    if (priority === undefined || seconds === undefined)
      throw new Error(`${JSON.stringify(part)} must look like PRIORITY=SECONDS, such as 1000=60`);
    return { priority: Number(priority), graceMs: Number(seconds) * 1000 };
  });
  return groups.toSorted((a, b) => a.priority - b.priority);
}

/** Lowest priority first; whoever is below all groups goes with the first. */
export function planShutdown(pods: readonly Pod[], groups: readonly ShutdownGroup[]): readonly ShutdownStage[] {
  const indexOf = ({ spec }: Pod) =>
    Math.max(
      0,
      groups.findLastIndex(({ priority }) => (spec?.priority ?? 0) >= priority),
    );
  return groups
    .map(({ graceMs }, i) => ({
      uids: pods.filter((pod) => indexOf(pod) === i).map(({ metadata }) => metadata?.uid ?? ""),
      graceMs,
    }))
    .filter(({ uids }) => uids.length > 0);
}

/** Whether a Service may still send to one of these pods. */
export function isSentTo(uids: ReadonlySet<string>, slices: readonly EndpointSlice[]): boolean {
  return slices.some(({ endpoints }) =>
    (endpoints ?? []).some(
      ({ conditions, targetRef }) => conditions?.ready !== false && uids.has(targetRef?.uid ?? ""),
    ),
  );
}

/** Resolves when no container runs any more, or the time is over. */
export async function endPods(
  workers: readonly PodWorker[],
  groups: readonly ShutdownGroup[],
  parts: { readonly clock: Clock; readonly endpointSlices: () => readonly EndpointSlice[] },
): Promise<void> {
  const pods = workers.filter(({ isOver }) => !isOver).map(({ pod }) => pod);
  for (const { uids, graceMs } of planShutdown(pods, groups)) {
    const stage = workers.filter(({ uid }) => uids.includes(uid));
    const endMs = parts.clock.monotonicMs() + graceMs;
    for (const worker of stage) worker.leave();
    await untilUnsent(new Set(uids), Math.min(leaveMsMax, graceMs * leaveShareMax), parts);
    for (const worker of stage) worker.shutDown(Math.max(0, endMs - parts.clock.monotonicMs()));
    while (stage.some(({ isOver }) => !isOver) && parts.clock.monotonicMs() < endMs + killMs)
      await sleep(parts.clock, lookMs, new AbortController().signal);
  }
}

// As this node sees it: the others hear of it at the same time.
async function untilUnsent(
  uids: ReadonlySet<string>,
  waitMs: number,
  { clock, endpointSlices }: { readonly clock: Clock; readonly endpointSlices: () => readonly EndpointSlice[] },
): Promise<void> {
  const endMs = clock.monotonicMs() + waitMs;
  while (isSentTo(uids, endpointSlices()) && clock.monotonicMs() < endMs)
    await sleep(clock, lookMs, new AbortController().signal);
}
