// Brings what was written to the disk for good, behind the back of who wrote it: a sync waits for everything that anybody on the machine
// has written. Until then the records call it unsynced, and a start after a crash of the machine forgets it.
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { markSynced } from "./changes.ts";
import { runHelper } from "./helper.ts";
import type { RecordFile } from "./records.ts";

const gatherMs = 500;

export class DiskSync {
  readonly #directory: string;
  readonly #records: RecordFile;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: Timer | undefined;
  #syncing: Promise<void> | undefined;

  constructor(options: {
    readonly directory: string;
    readonly records: RecordFile;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#directory = options.directory;
    this.#records = options.records;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Soon; what is written meanwhile goes along. */
  schedule(): void {
    this.#timer ??= this.#clock.after(gatherMs, () => void this.#sync());
  }

  /** Resolves when all that was scheduled is on the disk. */
  async settle(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    await this.#sync();
  }

  async #sync(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    this.#timer = undefined;
    const ids = this.#records.current.unsynced ?? [];
    if (ids.length === 0) return;
    this.#syncing = this.#syncNow(ids)
      .catch((error: unknown) => this.#log.warn({ error }, "images could not be synced to the disk"))
      .finally(() => {
        this.#syncing = undefined;
      });
    await this.#syncing;
  }

  async #syncNow(ids: readonly string[]): Promise<void> {
    await runHelper(["sync", this.#directory]);
    await this.#records.change((current) => markSynced(current, ids));
  }
}
