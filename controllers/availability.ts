// How long pods have been Ready: what minReadySeconds asks. Pure.

import { conditionOf, isTrue } from "../api/kinds/conditions.ts";
import type { Pod } from "../api/kinds/generated/types.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";

/** Neither ended nor being deleted. */
export function isActive(pod: Pod): boolean {
  return pod.metadata?.deletionTimestamp === undefined && !hasEnded(pod);
}

export function isReady(pod: Pod): boolean {
  return isTrue(pod.status?.conditions, "Ready");
}

/** Ms until the pod counts as available, 0 when it does; undefined: it is not Ready. */
export function availableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  if (!isReady(pod)) return undefined;
  if (minReadySeconds === 0) return 0;
  const since = Date.parse(conditionOf(pod.status?.conditions, "Ready")?.lastTransitionTime ?? "");
  return Number.isNaN(since) ? minReadySeconds * 1000 : Math.max(0, since + minReadySeconds * 1000 - nowMs);
}
