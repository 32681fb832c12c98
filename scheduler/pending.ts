// Pods that wait for a node: ready to be tried, waiting out a backoff, or set aside until the cluster changes.
import { type BackoffLimits, backoffMs } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";

export interface PendingPod {
  readonly key: string;
  readonly priority: number;
}

interface Entry extends PendingPod {
  readonly order: number;
  readonly failures: number;
}

export interface Pending {
  /** Adds a pod, or takes over its new priority; one that waits already keeps its place. */
  add(pod: PendingPod): void;
  remove(key: string): void;
  /** Up to `max` pods that can be tried now: by priority, then by age. */
  take(max: number): readonly string[];
  /** No node took it: set aside until `wake`, or a minute at most. */
  setAside(key: string): void;
  /** Something went wrong on the way: tried again after a backoff. */
  retry(key: string): void;
  /** It is bound. */
  done(key: string): void;
  /** The cluster changed: what was set aside is tried again after its backoff. */
  wake(): void;
  readonly sizes: { readonly ready: number; readonly backoff: number; readonly unschedulable: number };
  /** Cancels the timers. */
  close(): void;
}

const backoffLimits: BackoffLimits = { firstMs: 100, maxMs: 10_000 };
const setAsideMsMax = 60_000;

/** `onReady` is called whenever `take` may have something new. */
export function createPending(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly onReady: () => void;
}): Pending {
  const { clock, random, onReady } = options;
  const ready = new Map<string, Entry>();
  const backoff = new Map<string, { readonly entry: Entry; readonly cancel: () => void }>();
  const unschedulable = new Map<string, { readonly entry: Entry; readonly cancel: () => void }>();
  /** Taken and not yet decided. */
  const trying = new Map<string, Entry>();
  let nextOrder = 0;
  // Nearly all pods have one priority and come in order: then the map's own order is right and nothing is sorted.
  let sorted = true;
  let lastPriority = Number.POSITIVE_INFINITY;

  const makeReady = (entry: Entry) => {
    if (ready.size === 0) {
      sorted = true;
      lastPriority = Number.POSITIVE_INFINITY;
    }
    if (entry.priority > lastPriority) sorted = false;
    lastPriority = Math.min(lastPriority, entry.priority);
    ready.set(entry.key, entry);
    onReady();
  };
  const waitBackoff = (entry: Entry) => {
    const timer = clock.after(backoffMs(backoffLimits, entry.failures - 1, random), () => {
      backoff.delete(entry.key);
      makeReady(entry);
    });
    backoff.set(entry.key, { entry, cancel: () => timer.cancel() });
  };
  const drop = (key: string): Entry | undefined => {
    const waiting = backoff.get(key) ?? unschedulable.get(key);
    waiting?.cancel();
    const entry = waiting?.entry ?? ready.get(key) ?? trying.get(key);
    for (const place of [ready, backoff, unschedulable, trying]) place.delete(key);
    return entry;
  };

  return {
    add: (pod) => {
      if (trying.has(pod.key) || ready.has(pod.key) || backoff.has(pod.key)) return;
      const known = drop(pod.key);
      makeReady({ ...pod, order: known?.order ?? nextOrder++, failures: known?.failures ?? 0 });
    },
    remove: (key) => void drop(key),
    done: (key) => void drop(key),
    take: (max) => {
      if (!sorted) {
        const entries = [...ready.values()].sort((a, b) => b.priority - a.priority || a.order - b.order);
        ready.clear();
        for (const entry of entries) ready.set(entry.key, entry);
        sorted = true;
      }
      const keys: string[] = [];
      for (const [key, entry] of ready) {
        if (keys.length === max) break;
        keys.push(key);
        ready.delete(key);
        trying.set(key, entry);
      }
      return keys;
    },
    setAside: (key) => {
      const entry = drop(key);
      if (entry === undefined) return;
      const failed = { ...entry, failures: entry.failures + 1 };
      const timer = clock.after(setAsideMsMax, () => {
        unschedulable.delete(key);
        makeReady(failed);
      });
      unschedulable.set(key, { entry: failed, cancel: () => timer.cancel() });
    },
    retry: (key) => {
      const entry = drop(key);
      if (entry !== undefined) waitBackoff({ ...entry, failures: entry.failures + 1 });
    },
    wake: () => {
      for (const { entry, cancel } of [...unschedulable.values()]) {
        cancel();
        unschedulable.delete(entry.key);
        waitBackoff(entry);
      }
    },
    get sizes() {
      return { ready: ready.size, backoff: backoff.size, unschedulable: unschedulable.size };
    },
    close: () => {
      for (const { cancel } of [...backoff.values(), ...unschedulable.values()]) cancel();
      for (const place of [ready, backoff, unschedulable, trying]) place.clear();
    },
  };
}
