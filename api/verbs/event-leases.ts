// Events tell of the past and go after an hour: they hang on leases of the store, one for all events of some minutes.
import type { Clock } from "../../lib/clock.ts";
import type { Store } from "../store/store.ts";

const keptMs = 60 * 60 * 1000;
const sharedMs = 10 * 60 * 1000;

export class EventLeases {
  readonly #store: Pick<Store, "grantLease">;
  readonly #clock: Clock;
  #current: { readonly untilMs: number; readonly lease: Promise<string> } | undefined;

  constructor(store: Pick<Store, "grantLease">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** A lease that lasts for at least an hour from now. */
  current(): Promise<string> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#current === undefined || nowMs >= this.#current.untilMs) {
      const lease = this.#store.grantLease(keptMs + sharedMs);
      this.#current = { untilMs: nowMs + sharedMs, lease };
      // A grant that failed is asked for again.
      lease.catch(() => this.forget(lease));
    }
    return this.#current.lease;
  }

  /** After the store has said that it has ended, or could not be had. */
  forget(lease: Promise<string>): void {
    if (this.#current?.lease === lease) this.#current = undefined;
  }
}
