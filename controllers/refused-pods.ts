// Pods that their nodes refuse: a new one would be refused as well, so they are made again after growing waits only. Pure, and from what
// the pods themselves show, so that a server that starts anew waits on where the last one did.
import type { Pod } from "../api/kinds/generated/types.ts";

const firstMs = 1000;
const maxMs = 300_000;

export interface Refusals {
  /** How many pods may be made now. */
  readonly allowed: number;
  /** When to look again; undefined: nothing is held back. */
  readonly afterMs: number | undefined;
  /** The last one refused; undefined: since then pods were accepted. */
  readonly last: Pod | undefined;
}

/** It failed before a container of it began: its node had no room for it (OutOfcpu), was not the one it asked for (NodeAffinity) … */
export function isRefused({ status }: Pod): boolean {
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return (
    status?.phase === "Failed" &&
    statuses.every(({ state, lastState }) =>
      [state, lastState].every((one) => one?.running === undefined && (one?.terminated?.startedAt ?? null) === null),
    )
  );
}

/** `owned`: all pods of one owner, those that have ended too. */
export function lookAtRefusals(owned: readonly Pod[], nowMs: number): Refusals {
  const refused = owned.filter(isRefused).toSorted((a, b) => createdMs(b) - createdMs(a));
  const runs = owned.filter((pod) => pod.status?.phase === "Running" || pod.status?.phase === "Succeeded");
  const acceptedMs = Math.max(Number.NEGATIVE_INFINITY, ...runs.map(createdMs));
  const since = refused.filter((pod) => createdMs(pod) > acceptedMs);
  const [last] = since;
  if (last === undefined) return { allowed: Number.POSITIVE_INFINITY, afterMs: undefined, last: undefined };
  // Those of one second were made together: one try.
  const tries = new Set(since.map(createdMs)).size;
  const waitMs = Math.min(maxMs, firstMs * 2 ** Math.min(tries - 1, 30));
  const newestMs = Math.max(...owned.map(createdMs));
  const leftMs = newestMs + waitMs - nowMs;
  return leftMs > 0 ? { allowed: 0, afterMs: leftMs, last } : { allowed: 1, afterMs: waitMs, last };
}

function createdMs({ metadata }: Pod): number {
  return Date.parse(metadata?.creationTimestamp ?? "") || 0;
}
