// Sends a pod's status when it changed: at once what users and services wait for, the rest a moment later with what follows it.

import type { PodStatus } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";

const gatherMs = 100;
/** A pod that ends is seldom worth a status: its object goes soon. */
const gatherEndingMs = 250;

export class StatusReporter {
  readonly #clock: Clock;
  readonly #send: (status: PodStatus) => void;
  /** What was computed last: times of conditions come from it. */
  last: PodStatus;
  /** Undefined at first: that the server heard what a former agent had to say is not certain, so the first status is always sent. */
  #sentText: string | undefined;
  #waiting: { readonly status: PodStatus; readonly timer: Timer; readonly text: string } | undefined;

  constructor(clock: Clock, known: PodStatus, send: (status: PodStatus) => void) {
    this.#clock = clock;
    this.#send = send;
    this.last = known;
  }

  offer(status: PodStatus, { ending }: { readonly ending: boolean }): void {
    const urgent = !ending && isUrgent(status, this.last);
    this.last = status;
    const text = JSON.stringify(status);
    const before = this.#waiting;
    before?.timer.cancel();
    this.#waiting = undefined;
    if (text === this.#sentText) return;
    const send = () => {
      this.#waiting = undefined;
      this.#sentText = text;
      this.#send(status);
    };
    if (urgent) {
      send();
      return;
    }
    this.#waiting = { status, text, timer: this.#clock.after(ending ? gatherEndingMs : gatherMs, send) };
  }

  /** Sends at once what waits for more to follow. */
  flush(): void {
    const { status, text, timer } = this.#waiting ?? {};
    timer?.cancel();
    this.#waiting = undefined;
    if (status === undefined) return;
    this.#sentText = text;
    this.#send(status);
  }

  /** Whoever hears it now has not heard what was sent before. */
  forgetSent(): void {
    this.#sentText = undefined;
  }

  close(): void {
    this.#waiting?.timer.cancel();
    this.#waiting = undefined;
  }
}

function isUrgent(status: PodStatus, before: PodStatus): boolean {
  const ready = (of: PodStatus) => of.conditions?.find(({ type }) => type === "Ready")?.status ?? "False";
  if (ready(status) !== ready(before)) return true;
  return status.phase !== before.phase && (status.phase === "Succeeded" || status.phase === "Failed");
}
