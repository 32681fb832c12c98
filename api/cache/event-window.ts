// The recent events of one resource, for watchers that resume. Bounded by number and by bytes: it may be as large as what it saves
// watchers from listing again, within limits. In memory an event takes five times the bytes that the store needs for its object.
import { ApiError } from "../kinds/status.ts";
import type { ItemEvent } from "./item.ts";
import type { WatchCacheLimits } from "./watch-cache.ts";

type WindowLimits = Pick<WatchCacheLimits, "windowEventsMax" | "windowBytesMin" | "windowBytesMax">;

export class EventWindow {
  readonly #limits: WindowLimits;
  #entries: (ItemEvent | undefined)[] = [];
  /** Entries before it are dropped; the array is cut when half of it is. */
  #first = 0;
  #bytes = 0;
  /** All events above it are here. */
  #startRevision: number;

  constructor(limits: WindowLimits, startRevision: number) {
    this.#limits = limits;
    this.#startRevision = startRevision;
  }

  /** `liveBytes`: of all objects that there are. */
  add(event: ItemEvent, liveBytes: number): void {
    this.#entries.push(event);
    this.#bytes += event.item.bytes;
    const { windowBytesMin, windowBytesMax } = this.#limits;
    const bytesMax = Math.max(windowBytesMin, Math.min(liveBytes, windowBytesMax));
    while (this.#isOver(bytesMax)) this.#dropFirst();
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
      if ((this.#entries[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#entries.slice(low).filter((event) => event !== undefined);
  }

  /** Events up to `revision` were missed, so nobody can resume from before. */
  restart(revision: number): void {
    this.#entries = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#startRevision = revision;
  }

  #isOver(bytesMax: number): boolean {
    const count = this.#entries.length - this.#first;
    return count > this.#limits.windowEventsMax || (this.#bytes > bytesMax && count > 1);
  }

  #dropFirst(): void {
    const event = this.#entries[this.#first];
    if (event === undefined) return;
    this.#entries[this.#first] = undefined;
    this.#bytes -= event.item.bytes;
    this.#startRevision = event.revision;
    this.#first++;
  }
}

export function expired(revision: number, oldest: number): ApiError {
  return new ApiError("Expired", `too old resource version: ${revision} (${oldest})`);
}
