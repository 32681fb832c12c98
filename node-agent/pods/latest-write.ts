// Writes that supersede each other: one at a time, the latest wins.

export class LatestWrite {
  readonly #write: () => Promise<void>;
  #running: Promise<void> | undefined;
  #again = false;

  /** `write` takes what is the latest when it is called; it must not reject. */
  constructor(write: () => Promise<void>) {
    this.#write = write;
  }

  request(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#write().then(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.request();
    });
  }

  /** Resolves when what was requested before has been written. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}
