// What holds up a rollout: the words of a pod that waits, looked for again and again while the rollout is waited for.
import { setTimeout as delay } from "node:timers/promises";
import { pods } from "../api/kinds/generated/resources.ts";
import type { LabelSelector, Pod } from "../api/kinds/generated/types.ts";
import { selectorText } from "../api/kinds/selector-text.ts";
import type { Connection } from "./connection.ts";
import { pathOf } from "./resources.ts";
import { whyNotReady } from "./why-not-ready.ts";

const lookEveryMs = 1000;

export interface Held {
  readonly namespace: string;
  readonly selector: LabelSelector | undefined;
  /** Called with each new reason; "" when there is none any more. */
  readonly tell: (reason: string) => void;
}

/** Looks until aborted. What cannot be asked for is no reason, and no end of the wait. */
export async function tellWhy(
  connection: Connection,
  { namespace, selector, tell }: Held,
  signal: AbortSignal,
): Promise<void> {
  const path = `${pathOf(pods, namespace)}?${new URLSearchParams({ labelSelector: selectorText(selector) })}`;
  while (!signal.aborted) {
    try {
      await delay(lookEveryMs, undefined, { signal });
      tell(reasonOf((await connection.send<{ items: readonly Pod[] }>("GET", path, { signal })).items));
    } catch {
      // Aborted, or asked again in a moment.
    }
  }
}

/** The newest pod that says why it waits, with its words. Pure. */
export function reasonOf(selected: readonly Pod[]): string {
  const held = selected
    .map((pod) => ({ pod, why: pod.metadata?.deletionTimestamp === undefined ? whyNotReady(pod) : "" }))
    .filter(({ why }) => why !== "")
    .sort((a, b) => ageOrder(b.pod) - ageOrder(a.pod))[0];
  return held === undefined ? "" : `pod ${held.pod.metadata?.name}: ${held.why}`;
}

function ageOrder({ metadata }: Pod): number {
  return Date.parse(metadata?.creationTimestamp ?? "") || 0;
}
