// Runs a reconcile function for keys: each key once at a time, doubled keys joined, failures tried again with a growing wait.
import { backoffMs } from "../lib/backoff.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";

/** Ask to be run again after so many ms; undefined: when something changes. */
export type Again = { readonly afterMs: number } | undefined;

export interface ReconcileLoopOptions {
  readonly name: string;
  /** Looks at the present and makes one pass for the key; rejects to be tried again. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Again>;
  readonly concurrency?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onPass?: (pass: { readonly durationMs: number; readonly failed: boolean }) => void;
}

export interface ReconcileLoop {
  add(key: string): void;
  /** Adds the key after a wait; an earlier wait for the same key stays when it ends sooner. */
  addAfter(key: string, delayMs: number): void;
  readonly depth: number;
  [Symbol.asyncDispose](): Promise<void>;
}

const retryLimits = { firstMs: 10, maxMs: 30_000 };

export function startReconcileLoop(options: ReconcileLoopOptions): ReconcileLoop {
  const { clock, random, log, reconcile, concurrency = 4 } = options;
  const queued = new Set<string>();
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const failures = new Map<string, number>();
  const timers = new Map<string, { readonly timer: Timer; readonly dueMs: number }>();
  const stop = new AbortController();

  const pump = () => {
    for (const key of queued) {
      if (running.size >= concurrency || stop.signal.aborted) return;
      queued.delete(key);
      running.set(key, pass(key));
    }
  };
  const add = (key: string) => {
    if (stop.signal.aborted) return;
    if (running.has(key)) again.add(key);
    else {
      queued.add(key);
      pump();
    }
  };
  const addAfter = (key: string, delayMs: number) => {
    const dueMs = clock.monotonicMs() + delayMs;
    const known = timers.get(key);
    if (stop.signal.aborted || (known !== undefined && known.dueMs <= dueMs)) return;
    known?.timer.cancel();
    const timer = clock.after(delayMs, () => {
      timers.delete(key);
      add(key);
    });
    timers.set(key, { timer, dueMs });
  };
  const pass = async (key: string): Promise<void> => {
    // The pass begins in a turn of its own, so that changes of one turn are joined.
    await Promise.resolve();
    const startMs = clock.monotonicMs();
    let failed = false;
    try {
      const wish = await reconcile(key, stop.signal);
      failures.delete(key);
      if (wish !== undefined) addAfter(key, wish.afterMs);
    } catch (error) {
      if (!stop.signal.aborted) {
        failed = true;
        const count = failures.get(key) ?? 0;
        failures.set(key, count + 1);
        const delayMs = backoffMs(retryLimits, count, random);
        // Conflicts are how optimistic concurrency works, not news.
        log[count < 3 ? "debug" : "warn"](
          { loop: options.name, key, error, delayMs },
          "reconcile failed, will try again",
        );
        addAfter(key, delayMs);
      }
    }
    running.delete(key);
    options.onPass?.({ durationMs: clock.monotonicMs() - startMs, failed });
    if (again.delete(key)) add(key);
    pump();
  };

  return {
    add,
    addAfter,
    get depth() {
      return queued.size + running.size;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error(`${options.name} closed`));
      for (const { timer } of timers.values()) timer.cancel();
      timers.clear();
      queued.clear();
      await Promise.allSettled(running.values());
    },
  };
}
