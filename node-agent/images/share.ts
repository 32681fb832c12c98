// Work that several callers want at the same time is done once; it stops when the last of them has gone.

interface Work<Result, Progress> {
  readonly result: Promise<Result>;
  readonly abort: AbortController;
  readonly listeners: Set<(progress: Progress) => void>;
  readonly latest: Map<string, Progress>;
  callers: number;
}

export class SharedWork<Result, Progress> {
  readonly #works = new Map<string, Work<Result, Progress>>();
  readonly #keyOf: (progress: Progress) => string;

  /** A caller who comes late hears the latest progress of each key first. */
  constructor(keyOf: (progress: Progress) => string) {
    this.#keyOf = keyOf;
  }

  has(key: string): boolean {
    return this.#works.has(key);
  }

  /** Joins the work of this key, or starts it. The caller's signal ends only the caller's waiting. */
  async join(
    key: string,
    start: (report: (progress: Progress) => void, signal: AbortSignal) => Promise<Result>,
    caller: {
      readonly onProgress?: ((progress: Progress) => void) | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Result> {
    caller.signal?.throwIfAborted();
    const work = this.#works.get(key) ?? this.#start(key, start);
    const listener = (progress: Progress) => caller.onProgress?.(progress);
    for (const progress of work.latest.values()) listener(progress);
    work.listeners.add(listener);
    work.callers++;
    try {
      return await untilAborted(work.result, caller.signal);
    } finally {
      work.listeners.delete(listener);
      if (--work.callers === 0) {
        if (this.#works.get(key) === work) this.#works.delete(key);
        work.abort.abort();
      }
    }
  }

  #start(key: string, start: Parameters<SharedWork<Result, Progress>["join"]>[1]): Work<Result, Progress> {
    const abort = new AbortController();
    const listeners = new Set<(progress: Progress) => void>();
    const latest = new Map<string, Progress>();
    const report = (progress: Progress) => {
      latest.set(this.#keyOf(progress), progress);
      for (const listener of listeners) listener(progress);
    };
    const result = start(report, abort.signal).finally(() => {
      if (this.#works.get(key) === work) this.#works.delete(key);
    });
    // When all callers have gone nobody hears of its failure.
    result.catch(() => {});
    const work: Work<Result, Progress> = { result, abort, listeners, latest, callers: 0 };
    this.#works.set(key, work);
    return work;
  }
}

/** At most `most` at a time; the others wait in order. */
export class Limit {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function untilAborted<Result>(result: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return result;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
