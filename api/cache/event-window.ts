// The recent events of one resource, bounded by number and bytes, for watchers that resume.
import { ApiError } from "../kinds/status.ts";
import type { ItemEvent } from "./item.ts";
import type { WatchCacheLimits } from "./watch-cache.ts";

interface Entry {
  readonly event: ItemEvent;
  readonly bytes: number;
}

export class EventWindow {
  readonly #limits: Pick<WatchCacheLimits, "windowEventsMax" | "windowBytesMax">;
  #entries: Entry[] = [];
  /** Entries before it are dropped; the array is cut when half of it is. */
  #first = 0;
  #bytes = 0;
  /** All events above it are here. */
  #startRevision: number;

  constructor(limits: Pick<WatchCacheLimits, "windowEventsMax" | "windowBytesMax">, startRevision: number) {
    this.#limits = limits;
    this.#startRevision = startRevision;
  }

  add(event: ItemEvent, bytes: number): void {
    this.#entries.push({ event, bytes });
    this.#bytes += bytes;
    while (this.#isOver()) this.#dropFirst();
    if (this.#first > 64 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Events above `revision`, oldest first. Refuses with Expired when some of them are dropped. */
  after(revision: number): readonly ItemEvent[] {
    if (revision < this.#startRevision) throw expired(revision, this.#startRevision);
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.event.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#entries.slice(low).map((entry) => entry.event);
  }

  /** Events up to `revision` were missed, so nobody can resume from before. */
  restart(revision: number): void {
    this.#entries = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#startRevision = revision;
  }

  #isOver(): boolean {
    const count = this.#entries.length - this.#first;
    return count > this.#limits.windowEventsMax || (this.#bytes > this.#limits.windowBytesMax && count > 1);
  }

  #dropFirst(): void {
    const entry = this.#entries[this.#first];
    if (entry === undefined) return;
    this.#bytes -= entry.bytes;
    this.#startRevision = entry.event.revision;
    this.#first++;
  }
}

export function expired(revision: number, oldest: number): ApiError {
  return new ApiError("Expired", `too old resource version: ${revision} (${oldest})`);
}
