// Which nodes are heard. A heartbeat costs one assignment; one timer looks when the earliest deadline may have passed.
import type { Clock, Timer } from "../../lib/clock.ts";

export interface Liveness {
  /** A sign of life. True when the node counted as silent. */
  heard(node: string): boolean;
  /** A new session: forgets extensions and counts as heard. */
  begin(node: string): void;
  /** Counts as heard until then (monotonic) whatever happens. */
  extend(node: string, untilMs: number): void;
  forget(node: string): void;
  /** Monotonic time of the last sign of life. */
  heardMs(node: string): number | undefined;
  close(): void;
}

export interface LivenessOptions {
  readonly clock: Clock;
  readonly notReadyAfterMs: number;
  /** Once per silence. */
  readonly onSilent: (node: string, silentMs: number) => void;
}

interface Entry {
  heardMs: number;
  extendedMs: number;
  silent: boolean;
}

/** A timer that is later than this tells that this process itself stood still: heartbeats may wait unread. */
const stallMs = 100;

export function openLiveness({ clock, notReadyAfterMs, onSilent }: LivenessOptions): Liveness {
  const entries = new Map<string, Entry>();
  let timer: Timer | undefined;
  let plannedMs = Number.POSITIVE_INFINITY;
  let stalledUntilMs = 0;

  const deadlineOf = (entry: Entry) => Math.max(entry.heardMs + notReadyAfterMs, entry.extendedMs, stalledUntilMs);

  const plan = (atMs: number) => {
    if (atMs >= plannedMs) return;
    timer?.cancel();
    plannedMs = atMs;
    timer = clock.after(Math.max(1, atMs - clock.monotonicMs()), check);
  };

  const check = () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - plannedMs > stallMs) stalledUntilMs = nowMs + notReadyAfterMs / 2;
    plannedMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    const silent: [string, number][] = [];
    for (const [node, entry] of entries) {
      if (entry.silent) continue;
      const deadlineMs = deadlineOf(entry);
      if (deadlineMs > nowMs) {
        nextMs = Math.min(nextMs, deadlineMs);
        continue;
      }
      entry.silent = true;
      silent.push([node, nowMs - entry.heardMs]);
    }
    if (nextMs < Number.POSITIVE_INFINITY) plan(nextMs);
    for (const [node, silentMs] of silent) onSilent(node, silentMs);
  };

  const entryOf = (node: string): Entry => {
    let entry = entries.get(node);
    if (entry === undefined) {
      entry = { heardMs: clock.monotonicMs(), extendedMs: 0, silent: false };
      entries.set(node, entry);
    }
    return entry;
  };

  return {
    heard: (node) => {
      const entry = entryOf(node);
      entry.heardMs = clock.monotonicMs();
      const wasSilent = entry.silent;
      entry.silent = false;
      if (wasSilent) plan(deadlineOf(entry));
      return wasSilent;
    },
    begin: (node) => {
      const entry = entryOf(node);
      entry.heardMs = clock.monotonicMs();
      entry.extendedMs = 0;
      entry.silent = false;
      plan(deadlineOf(entry));
    },
    extend: (node, untilMs) => {
      const entry = entryOf(node);
      entry.extendedMs = untilMs;
      plan(deadlineOf(entry));
    },
    forget: (node) => {
      entries.delete(node);
    },
    heardMs: (node) => entries.get(node)?.heardMs,
    close: () => {
      timer?.cancel();
      plannedMs = Number.NEGATIVE_INFINITY;
    },
  };
}
