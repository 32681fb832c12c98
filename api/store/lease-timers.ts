// When leases end, for the stores that keep time themselves.
import type { Clock, Timer } from "../../lib/clock.ts";

interface Lease {
  readonly ttlMs: number;
  timer: Timer;
}

export class LeaseTimers {
  readonly #clock: Clock;
  readonly #onEnd: (lease: string) => void;
  readonly #leases = new Map<string, Lease>();

  constructor(clock: Clock, onEnd: (lease: string) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  has(lease: string): boolean {
    return this.#leases.has(lease);
  }

  start(lease: string, ttlMs: number): void {
    this.#leases.set(lease, { ttlMs, timer: this.#arm(lease, ttlMs) });
  }

  renew(lease: string): boolean {
    const entry = this.#leases.get(lease);
    if (entry === undefined) return false;
    entry.timer.cancel();
    entry.timer = this.#arm(lease, entry.ttlMs);
    return true;
  }

  end(lease: string): void {
    this.#leases.get(lease)?.timer.cancel();
    this.#leases.delete(lease);
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#leases.values()) timer.cancel();
    this.#leases.clear();
  }

  #arm(lease: string, ttlMs: number): Timer {
    return this.#clock.after(ttlMs, () => {
      this.#leases.delete(lease);
      this.#onEnd(lease);
    });
  }
}
