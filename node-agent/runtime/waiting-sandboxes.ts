// Which sandboxes the launcher keeps waiting: of the kind that was started last, for what was started last is likely to be started next.
import type { Logger } from "../../lib/log.ts";
import { encodeFields, type FrameField } from "./frames.ts";
import { LauncherGoneError } from "./launcher-client.ts";
import { commonOps, type LaunchOp } from "./plan.ts";

type Ask = (args: readonly FrameField[]) => Promise<readonly string[]>;

export class WaitingSandboxes {
  readonly #count: number;
  readonly #ask: Ask;
  readonly #log: Logger;
  #shape: string | undefined;
  #args: readonly FrameField[] = [];

  /** `ask` performs the launcher's op `pool`. */
  constructor(count: number, ask: Ask, log: Logger) {
    this.#count = count;
    this.#ask = ask;
    this.#log = log;
  }

  /** Told of every start's plan. Nobody waits for what follows. */
  started(ops: readonly LaunchOp[]): void {
    if (!this.#turnTo(ops)) return;
    this.#ask(this.#args).catch((error: unknown) => {
      if (!(error instanceof LauncherGoneError)) this.#log.warn({ error }, "no sandboxes are kept waiting");
    });
  }

  /** Whether as many as should be wait for such plans. */
  async isFull(ops: readonly LaunchOp[]): Promise<boolean> {
    this.#turnTo(ops);
    return this.#shape !== undefined && Number((await this.#ask(this.#args))[0]) === this.#count;
  }

  /** Another launcher answers, which has none. */
  forget(): void {
    this.#shape = undefined;
  }

  /** False when they are of that kind already, or cannot be. */
  #turnTo(ops: readonly LaunchOp[]): boolean {
    const common = this.#count === 0 ? undefined : commonOps(ops);
    const shape = common === undefined ? undefined : JSON.stringify(common);
    if (common === undefined || shape === this.#shape) return false;
    this.#shape = shape;
    this.#args = [this.#count, ...common.map((op) => encodeFields(op))];
    return true;
  }
}
