// Conditions in a status: reading them, and setting them so that the transition time moves only when the status does.
import { timestamp } from "../../lib/clock.ts";

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

/** What a node's Ready condition says while it ends its pods itself, in the kubelet's words. */
export const shuttingDownMessage = "node is shutting down";

export function conditionOf<C extends Condition>(conditions: readonly C[] | undefined, type: string): C | undefined {
  return conditions?.find((c) => c.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditionOf(conditions, type)?.status === "True";
}

/** A new list with `wanted` in it; lastTransitionTime is kept when the status stays the same, and set to `nowMs` when it changes. */
export function setCondition<C extends Condition>(
  conditions: readonly C[] | undefined,
  wanted: C,
  nowMs: number,
): readonly C[] {
  const old = conditionOf(conditions, wanted.type);
  const kept = old?.status === wanted.status ? old.lastTransitionTime : undefined;
  const next = { ...wanted, lastTransitionTime: kept ?? timestamp(nowMs) };
  if (old === undefined) return [...(conditions ?? []), next];
  return (conditions ?? []).map((c) => (c.type === wanted.type ? next : c));
}
