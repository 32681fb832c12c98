// One watcher of one resource: its filter and the events that wait for it, bounded.
import type { KubeObject } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { ItemEvent } from "./item.ts";
import type { CacheBatch, IndexFunction } from "./watch-cache.ts";

export interface WatcherFilter {
  readonly namespace?: string | undefined;
  readonly index?: { readonly name: string; readonly value: string; readonly valuesOf: IndexFunction } | undefined;
  readonly matches?: ((object: KubeObject) => boolean) | undefined;
}

export interface WatcherOptions {
  readonly afterRevision: number;
  readonly bufferEventsMax: number;
  /** Up to which revision events have been offered. */
  readonly offeredRevision: () => number;
}

export class CollectionWatcher {
  readonly filter: WatcherFilter;
  readonly #options: WatcherOptions;
  readonly #matches: ((object: KubeObject) => boolean) | undefined;
  #takenRevision: number;
  #buffer: ItemEvent[] = [];
  #progress = false;
  #error: unknown;
  #wake: () => void = () => {};

  constructor(filter: WatcherFilter, options: WatcherOptions) {
    this.filter = filter;
    this.#options = options;
    this.#matches = matchesOf(filter);
    this.#takenRevision = options.afterRevision;
  }

  /** Takes an event in the order of revisions; the reader runs when the whole revision has been offered, since that happens in one turn. */
  offer(event: ItemEvent): void {
    if (event.revision <= this.#options.afterRevision || this.#error !== undefined) return;
    try {
      const seen = this.#matches === undefined ? event : asSeen(event, this.#matches);
      if (seen === undefined) return;
      if (this.#buffer.length >= this.#options.bufferEventsMax) throw tooSlow(this.#options.bufferEventsMax);
      this.#buffer.push(seen);
      this.#wake();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Lets the reader know how far it is although it had nothing to hear. */
  tellProgress(): void {
    if (this.#options.offeredRevision() <= this.#takenRevision) return;
    this.#progress = true;
    this.#wake();
  }

  /** Ends the watch: the reader gets the error instead of what waits for it. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.#buffer = [];
    this.#wake();
  }

  /** Wakes the reader so that it looks at its signal. */
  wake(): void {
    this.#wake();
  }

  /** The next batch; undefined once the signal is aborted. */
  async next(signal: AbortSignal): Promise<CacheBatch | undefined> {
    while (!signal.aborted) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#buffer.length > 0 || this.#progress) return this.#take();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return undefined;
  }

  #take(): CacheBatch {
    const events = this.#buffer;
    this.#buffer = [];
    this.#progress = false;
    this.#takenRevision = Math.max(this.#takenRevision, this.#options.offeredRevision());
    return { revision: this.#takenRevision, events };
  }
}

/** The event as a watcher with that filter sees it; undefined when it does not concern it. */
function asSeen(event: ItemEvent, matches: (object: KubeObject) => boolean): ItemEvent | undefined {
  const after = event.type !== "DELETED" && matches(event.item.object);
  const before = event.previous !== undefined && matches(event.previous.object);
  if (after && before) return event;
  if (after) return event.type === "ADDED" ? event : new ItemEvent("ADDED", event.item, event.previous);
  if (!before) return undefined;
  if (event.type === "DELETED" || event.previous === undefined) return event;
  // The last state that matched, as Kubernetes answers.
  return new ItemEvent("DELETED", event.previous.deletedAt(event.revision), event.previous);
}

function matchesOf({ index, matches }: WatcherFilter): ((object: KubeObject) => boolean) | undefined {
  if (index === undefined) return matches;
  const { value, valuesOf } = index;
  if (matches === undefined) return (object) => valuesOf(object).includes(value);
  return (object) => valuesOf(object).includes(value) && matches(object);
}

function tooSlow(bufferEventsMax: number): ApiError {
  return new ApiError("Expired", `the watcher reads too slowly: more than ${bufferEventsMax} events wait for it`);
}
