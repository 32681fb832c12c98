// Which sandboxes the launcher keeps waiting: of the kind that was started last, for what was started last is likely to be started next.
import type { Logger } from "../../lib/log.ts";
import type { FrameField } from "./frames.ts";
import type { LaunchOp } from "./launch-op.ts";
import { LauncherGoneError } from "./launcher-client.ts";
import { commonOps } from "./plan.ts";

type Ask = (args: readonly FrameField[]) => Promise<readonly string[]>;

export class WaitingSandboxes {
  readonly #count: number;
  readonly #ask: Ask;
  readonly #log: Logger;
  #shape: readonly LaunchOp[] | undefined;

  /** `ask` performs the launcher's op `pool`. */
  constructor(count: number, ask: Ask, log: Logger) {
    this.#count = count;
    this.#ask = ask;
    this.#log = log;
  }

  /** Told of every start's plan. Nobody waits for what follows. */
  started(ops: readonly LaunchOp[]): void {
    if (!this.#turnTo(ops)) return;
    this.#ask([this.#count, ...(this.#shape ?? [])]).catch((error: unknown) => {
      if (!(error instanceof LauncherGoneError)) this.#log.warn({ error }, "no sandboxes are kept waiting");
    });
  }

  /** Whether as many as should be wait for such plans. */
  async isFull(ops: readonly LaunchOp[]): Promise<boolean> {
    this.#turnTo(ops);
    return this.#shape !== undefined && Number((await this.#ask([this.#count, ...this.#shape]))[0]) === this.#count;
  }

  /** Another launcher answers, which has none. */
  forget(): void {
    this.#shape = undefined;
  }

  /** False when they are of that kind already, or cannot be. */
  #turnTo(ops: readonly LaunchOp[]): boolean {
    const common = this.#count === 0 ? undefined : commonOps(ops);
    if (common === undefined || (this.#shape !== undefined && isSame(common, this.#shape))) return false;
    this.#shape = common;
    return true;
  }
}

function isSame(a: readonly LaunchOp[], b: readonly LaunchOp[]): boolean {
  return (
    a.length === b.length && a.every((op, i) => op.length === b[i]?.length && op.every((word, j) => word === b[i]?.[j]))
  );
}
