// Work by key: each key at most once at a time, the latest state when it runs, again with growing waits when it failed.
import { type BackoffLimits, backoffMs } from "../../lib/backoff.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";

export interface KeyedWork {
  /** Runs soon; once more when it runs already. */
  add(key: string): void;
  /** Keys that wait or run. */
  readonly size: number;
  /** Nothing starts any more. */
  close(): void;
}

export interface KeyedWorkOptions {
  readonly run: (key: string) => Promise<void>;
  readonly onError: (key: string, error: unknown) => void;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly backoff?: BackoffLimits;
}

const defaultBackoff: BackoffLimits = { firstMs: 50, maxMs: 10_000 };

export function openKeyedWork(options: KeyedWorkOptions): KeyedWork {
  const { run, onError, concurrency, clock, random, backoff = defaultBackoff } = options;
  const waiting = new Set<string>();
  // True: changed while it runs.
  const running = new Map<string, boolean>();
  const failures = new Map<string, number>();
  const retries = new Map<string, Timer>();
  let closed = false;

  const start = () => {
    for (const key of waiting) {
      if (closed || running.size >= concurrency) return;
      waiting.delete(key);
      running.set(key, false);
      void perform(key);
    }
  };

  const perform = async (key: string) => {
    try {
      await run(key);
      failures.delete(key);
    } catch (error) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      if (!closed) {
        onError(key, error);
        retries.set(
          key,
          clock.after(backoffMs(backoff, count, random), () => {
            retries.delete(key);
            add(key);
          }),
        );
      }
    }
    const again = running.get(key) === true;
    running.delete(key);
    if (again && !retries.has(key)) waiting.add(key);
    start();
  };

  const add = (key: string) => {
    if (closed || retries.has(key)) return; // the retry will see the latest
    if (running.has(key)) running.set(key, true);
    else {
      waiting.add(key);
      start();
    }
  };

  return {
    add,
    get size() {
      return waiting.size + running.size + retries.size;
    },
    close: () => {
      closed = true;
      waiting.clear();
      for (const timer of retries.values()) timer.cancel();
      retries.clear();
    },
  };
}
