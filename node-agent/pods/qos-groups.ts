// Keeps the cgroups of the classes at what their pods ask for together.
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { groupShares, type QosGroup } from "./pod-cgroup.ts";
import { messageOf } from "./start-problem.ts";

/** What changes within this time is looked at once. */
const joinMs = 100;

export class QosGroups {
  readonly #parts: Parts;
  readonly #given = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Pods have come or gone, or ask for something else: many of them at a time make one change. */
  changed(): void {
    this.#timer ??= this.#parts.clock.after(joinMs, () => {
      this.#timer = undefined;
      this.apply();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }

  apply(): void {
    const { runtime, pods, log } = this.#parts;
    const shares = groupShares(pods());
    for (const name of Object.keys(shares) as QosGroup[]) {
      const cpuShares = shares[name];
      if (this.#given.get(name) === cpuShares) continue;
      try {
        runtime.limitGroup(name, { cpuShares });
        this.#given.set(name, cpuShares);
      } catch (error) {
        log.warn({ group: name, error: messageOf(error) }, "could not weigh a class of pods");
      }
    }
  }
}

interface Parts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Pick<Runtime, "limitGroup">;
  readonly pods: () => readonly Pod[];
}
