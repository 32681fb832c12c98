// Questions to the SQLite worker thread and their answers.
import type { Worker } from "node:worker_threads";
import type { Logger } from "../../lib/log.ts";
import type { Answer, Reply, Request } from "./sqlite-messages.ts";
import { CompactedError, StoreUnavailableError } from "./store.ts";

interface Question {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

type AnswerTo<R extends Request> = {
  readonly answer: Extract<Answer, { type: R["type"] }>;
  readonly buffer: ArrayBuffer;
};

export class SqliteThread {
  readonly #worker: Worker;
  readonly #open = new Map<number, Question>();
  #asked = 0;
  #closed: StoreUnavailableError | undefined;

  constructor(worker: Worker, log: Logger) {
    this.#worker = worker;
    worker.on("message", (reply: Reply) => {
      this.#open.get(reply.id)?.resolve(reply);
      this.#open.delete(reply.id);
    });
    worker.on("error", (error) => {
      log.error({ error }, "store thread died");
      this.#end(new StoreUnavailableError("the store's thread died", { cause: error, outcomeUnknown: true }));
    });
    worker.on("exit", () => this.#end(new StoreUnavailableError("the store is closed", { outcomeUnknown: true })));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  async ask<R extends Request>(request: R): Promise<AnswerTo<R>> {
    if (this.#closed !== undefined) throw this.#closed;
    const id = ++this.#asked;
    const transfer = request.type === "batch" ? [request.buffer] : [];
    const { answer, buffer } = await new Promise<Reply>((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request }, transfer);
    });
    if (answer.type === "compacted") throw new CompactedError(answer.oldestRevision);
    if (answer.type === "failed") {
      throw new StoreUnavailableError(answer.message, { outcomeUnknown: answer.outcomeUnknown });
    }
    return { answer, buffer } as AnswerTo<R>;
  }

  async close(): Promise<void> {
    if (this.#closed === undefined) await this.ask({ type: "close" }).catch(() => {});
    this.#end(new StoreUnavailableError("the store is closed"));
    await this.#worker.terminate();
  }

  #end(error: StoreUnavailableError): void {
    this.#closed ??= error;
    for (const { reject } of this.#open.values()) reject(this.#closed);
    this.#open.clear();
  }
}
