// Feeds watchers from the commits themselves; one that falls behind reads history instead of growing a buffer.
import type { StoreEvent, WatchBatch } from "./store.ts";

export interface HistoryRequest {
  readonly prefix: string;
  readonly afterRevision: number;
}

/** Whole revisions above `afterRevision`, some or all of what is kept; throws CompactedError. */
export type ReadHistory = (request: HistoryRequest) => Promise<WatchBatch>;

const bufferEventsMax = 4096;

interface Watcher {
  readonly prefix: string;
  /** Everything up to here is delivered or in the buffer. */
  toldRevision: number;
  buffer: StoreEvent[];
  progressed: boolean;
  /** Its buffer no longer holds what comes next: read history from `toldRevision`. */
  behind: boolean;
  wake: () => void;
}

export class WatchHub {
  readonly #readHistory: ReadHistory;
  readonly #watchers = new Set<Watcher>();
  #revision: number;
  #closed = false;

  constructor(revision: number, readHistory: ReadHistory) {
    this.#revision = revision;
    this.#readHistory = readHistory;
  }

  /** Everything up to this revision has been published. */
  get revision(): number {
    return this.#revision;
  }

  publish(batch: WatchBatch): void {
    this.#revision = batch.revision;
    for (const watcher of this.#watchers) {
      if (!watcher.behind && watcher.toldRevision < batch.revision) addToBuffer(watcher, batch);
      watcher.wake();
    }
  }

  /** There are commits up to `revision` that nobody published: watchers find them in history. */
  publishGap(revision: number): void {
    this.#revision = revision;
    for (const watcher of this.#watchers) {
      watcher.behind ||= watcher.toldRevision < revision;
      watcher.wake();
    }
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.wake();
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const watcher: Watcher = {
      prefix,
      toldRevision: afterRevision,
      buffer: [],
      progressed: false,
      behind: afterRevision < this.#revision,
      wake: () => {},
    };
    const onAbort = () => watcher.wake();
    signal.addEventListener("abort", onAbort);
    this.#watchers.add(watcher);
    try {
      while (!signal.aborted && !this.#closed) {
        if (watcher.progressed) yield takeBuffer(watcher);
        else if (watcher.behind) yield await this.#catchUp(watcher);
        else await new Promise<void>((resolve) => (watcher.wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #catchUp(watcher: Watcher): Promise<WatchBatch> {
    const batch = await this.#readHistory({ prefix: watcher.prefix, afterRevision: watcher.toldRevision });
    // History may be ahead of what was published; those publications are then skipped by revision.
    watcher.toldRevision = batch.revision;
    watcher.behind = batch.revision < this.#revision;
    return batch;
  }
}

function addToBuffer(watcher: Watcher, batch: WatchBatch): void {
  const before = watcher.buffer.length;
  for (const event of batch.events) {
    if (event.revision > watcher.toldRevision && event.key.startsWith(watcher.prefix)) watcher.buffer.push(event);
  }
  if (watcher.buffer.length > bufferEventsMax && before > 0) {
    // What is in the buffer stays deliverable up to toldRevision; the rest comes from history.
    watcher.buffer.length = before;
    watcher.behind = true;
    return;
  }
  watcher.toldRevision = batch.revision;
  watcher.progressed = true;
}

function takeBuffer(watcher: Watcher): WatchBatch {
  const events = watcher.buffer;
  watcher.buffer = [];
  watcher.progressed = false;
  return { revision: watcher.toldRevision, events };
}
