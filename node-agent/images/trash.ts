// Directories that go: moved aside at once, so that their names are free, and emptied by the helper in the background.
import { renameSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { nameSuffix, type Random } from "../../lib/random.ts";
import { runHelper } from "./helper.ts";

// Starting the helper costs more than removing a small folder: what comes within this time shares one.
const gatherMs = 200;

export class Trash {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  #timer: Timer | undefined;
  #emptying: Promise<void> | undefined;

  constructor(options: {
    readonly directory: string;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
  }) {
    this.#directory = join(options.directory, "trash");
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    this.#schedule();
  }

  /** In one step, without a wait: who looks afterwards finds nothing. Silent when it is not there. */
  take(path: string): void {
    try {
      renameSync(path, join(this.#directory, nameSuffix(this.#random, 16)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return;
    }
    this.#schedule();
  }

  /** Resolves when all that was taken is gone from the disk. */
  async settle(): Promise<void> {
    while (this.#emptying !== undefined) await this.#emptying;
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    await this.#empty();
  }

  #schedule(): void {
    this.#timer ??= this.#clock.after(gatherMs, () => void this.#empty());
  }

  // Never two at a time: what comes meanwhile has its own timer.
  async #empty(): Promise<void> {
    while (this.#emptying !== undefined) await this.#emptying;
    this.#timer = undefined;
    this.#emptying = runHelper(["empty", this.#directory])
      .then(
        () => {},
        (error: unknown) => this.#log.warn({ error, directory: this.#directory }, "emptying the trash failed"),
      )
      .finally(() => {
        this.#emptying = undefined;
      });
    await this.#emptying;
  }
}
