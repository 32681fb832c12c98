// Time that stands still until it is told to move: tests and the simulator run on it, the same way each time.
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";

export interface VirtualClock extends Clock {
  /** Runs all timers due within `durationMs`, in order, with every promise settled between them. */
  advance(durationMs: number): Promise<void>;
  /** Lets promises settle without moving time. */
  settle(): Promise<void>;
  /** Runs timers until none is left, at most up to `durationMsMax` from now; true when none is left. */
  runUntilIdle(durationMsMax: number): Promise<boolean>;
  /** How many timers wait. */
  readonly pending: number;
}

interface Entry {
  readonly atMs: number;
  /** Ties go to the timer that was set first. */
  readonly order: number;
  run: (() => void) | undefined;
}

/** Time moves with each timer that has a delay: what rounding leaves of a delay must not make time stand still for ever. */
const delayMsMin = 0.001;

/** Starts at `startMs` (ms since the epoch); `monotonicMs` starts at 0. */
export function virtualClock(startMs = Date.UTC(2026, 0, 1)): VirtualClock {
  const heap: Entry[] = [];
  let elapsedMs = 0;
  let order = 0;
  let pending = 0;

  const runNext = async (untilMs: number): Promise<boolean> => {
    const entry = heap[0];
    if (entry === undefined || entry.atMs > untilMs) return false;
    popEntry(heap);
    if (entry.run === undefined) return true;
    elapsedMs = entry.atMs;
    pending--;
    const { run } = entry;
    entry.run = undefined;
    run();
    await settle();
    return true;
  };

  return {
    now: () => startMs + Math.floor(elapsedMs),
    monotonicMs: () => elapsedMs,
    after: (delayMs, run): Timer => {
      assert(Number.isFinite(delayMs), `timer with a delay of ${delayMs} ms`);
      const atMs = delayMs <= 0 ? elapsedMs : elapsedMs + Math.max(delayMs, delayMsMin);
      const entry: Entry = { atMs, order: order++, run };
      pushEntry(heap, entry);
      pending++;
      return {
        cancel: () => {
          if (entry.run === undefined) return;
          entry.run = undefined;
          pending--;
        },
      };
    },
    advance: async (durationMs) => {
      const untilMs = elapsedMs + durationMs;
      await settle();
      while (await runNext(untilMs));
      elapsedMs = untilMs;
    },
    settle,
    runUntilIdle: async (durationMsMax) => {
      const untilMs = elapsedMs + durationMsMax;
      await settle();
      while (pending > 0 && (await runNext(untilMs)));
      return pending === 0;
    },
    get pending() {
      return pending;
    },
  };
}

// The event loop runs every promise callback and nextTick before an immediate.
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.order < b.order;
}

function pushEntry(heap: Entry[], entry: Entry): void {
  let index = heap.length;
  heap.push(entry);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || isBefore(above, entry)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = entry;
}

function popEntry(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    const left = heap[child];
    if (left === undefined) break;
    const right = heap[child + 1];
    let least = left;
    if (right !== undefined && isBefore(right, left)) {
      least = right;
      child++;
    }
    if (isBefore(last, least)) break;
    heap[index] = least;
    index = child;
  }
  heap[index] = last;
}
