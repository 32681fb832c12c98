// The default store: one SQLite file. All transactions that wait at a time share one sync to disk, done in a worker thread.
import { open } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { LeaseTimers } from "./lease-timers.ts";
import { copyPath, removeCopy, removeStaleCopies } from "./sqlite-copies.ts";
import type { DatabaseOptions } from "./sqlite-database.ts";
import { type Job, type Opened, type Outcome, type PackedOperation, Packer, unpackItem } from "./sqlite-messages.ts";
import { SqliteThread } from "./sqlite-thread.ts";
import {
  type CommitResult,
  checkTransaction,
  LeaseEndedError,
  type RangeRequest,
  type RangeResult,
  type Store,
  type StoreCopy,
  type StoreEvent,
  StoreUnavailableError,
  type Transaction,
  type WatchBatch,
} from "./store.ts";
import { type HistoryRequest, WatchHub } from "./watch-hub.ts";

export interface SqliteStoreOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Older history is forgotten. */
  readonly historyRevisionsMax?: number;
}

const batchJobsMax = 2048;
const batchBytesMax = 32 * 1024 * 1024;

/** A transaction or lease change that waits for the next batch. */
interface Pending {
  readonly job: { readonly transaction: Transaction } | Exclude<Job, { type: "transaction" }>;
  readonly resolve: (outcome: Outcome, buffer: ArrayBuffer) => void;
  readonly reject: (error: Error) => void;
}

/** Opens or creates the file; fails when another process has it open. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const data: DatabaseOptions = {
    path: options.path,
    historyRevisionsMax: options.historyRevisionsMax ?? 20_000,
  };
  // Compiled, the worker is JavaScript like this file.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./sqlite-worker.${extension}`, import.meta.url), {
    workerData: data,
    // With what brings its sources, but not V8's flags, which are the process's.
    execArgv: [
      "--disable-warning=ExperimentalWarning",
      ...process.execArgv.filter((flag) => flag.startsWith("--import=")),
    ],
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const opened = await new Promise<Opened>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", (cause: Error) => {
      const why = cause.message.includes("locked") ? "another process has it open" : cause.message;
      reject(new StoreUnavailableError(`cannot open the store ${options.path}: ${why}`, { cause }));
    });
  });
  await removeStaleCopies(options.path);
  return new SqliteStore(new SqliteThread(worker, options.log), opened, options);
}

class SqliteStore implements Store {
  readonly #thread: SqliteThread;
  readonly #hub: WatchHub;
  readonly #leases: LeaseTimers;
  readonly #log: Logger;
  #waiting: Pending[] = [];
  #busy = false;
  #draining: Promise<void> = Promise.resolve();
  readonly #path: string;
  #copies = 0;
  /** One at a time. */
  #copying: Promise<void> = Promise.resolve();
  #leaseNumber = 0;
  #refusing = false;
  readonly #leasePrefix: string;

  constructor(thread: SqliteThread, opened: Opened, options: SqliteStoreOptions) {
    this.#thread = thread;
    this.#log = options.log;
    this.#path = options.path;
    this.#hub = new WatchHub(opened.revision, (request) => this.#readHistory(request));
    this.#leases = new LeaseTimers(options.clock, (lease) => void this.#expire(lease, options.clock));
    this.#leasePrefix = `${opened.revision}-${opened.leases.length}-${options.clock.now()}`;
    for (const { lease, ttlMs } of opened.leases) this.#leases.start(lease, ttlMs);
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    checkTransaction(transaction);
    return new Promise((resolve, reject) => {
      this.#enqueue({
        job: { transaction },
        reject,
        resolve: (outcome, buffer) => {
          if (outcome.type === "committed") resolve({ committed: true, revision: outcome.revision });
          else if (outcome.type === "conflict") resolve(conflict(outcome, buffer));
          else if (outcome.type === "leaseEnded") reject(new LeaseEndedError(outcome.lease));
        },
      });
    });
  }

  async range({ start, end, limit, revision }: RangeRequest): Promise<RangeResult> {
    const { answer, buffer } = await this.#thread.ask({ type: "range", start, end, limit, revision });
    const items = answer.items.map((item) => unpackItem(item, buffer));
    return { revision: answer.revision, items, more: answer.more };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    return this.#hub.watch(prefix, afterRevision, signal);
  }

  async compact(revision: number): Promise<void> {
    // In steps, so that commits get in between.
    while (!(await this.#thread.ask({ type: "compact", revision })).answer.done);
  }

  async grantLease(ttlMs: number): Promise<string> {
    const lease = `${this.#leasePrefix}-${++this.#leaseNumber}`;
    await this.#change({ type: "grantLease", lease, ttlMs });
    this.#leases.start(lease, ttlMs);
    return lease;
  }

  async renewLease(lease: string): Promise<boolean> {
    return this.#leases.renew(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    this.#leases.end(lease);
    await this.#change({ type: "endLease", lease });
  }

  readonly backup = async (): Promise<StoreCopy> => {
    // Beside the store, where nobody else can read: there are Secrets in it.
    const path = copyPath(this.#path, ++this.#copies);
    const remove = () => removeCopy(path);
    const before = this.#copying;
    const copying = (async () => {
      await before;
      await (await open(path, "w", 0o600)).close();
      // In steps, so that commits get in between.
      while (!(await this.#thread.ask({ type: "copy", path })).answer.done);
    })();
    this.#copying = copying.catch(() => {});
    try {
      await copying;
    } catch (error) {
      await remove();
      throw error;
    }
    return { path, [Symbol.asyncDispose]: remove };
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leases[Symbol.dispose]();
    await this.#draining;
    this.#hub.close();
    await this.#thread.close();
  }

  #change(job: Exclude<Job, { type: "transaction" }>): Promise<void> {
    return new Promise((resolve, reject) => this.#enqueue({ job, resolve: () => resolve(), reject }));
  }

  #enqueue(pending: Pending): void {
    this.#waiting.push(pending);
    if (this.#busy) return;
    this.#busy = true;
    // What the present turn of the caller adds goes along.
    this.#draining = Promise.resolve().then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = takeBatch(this.#waiting);
      this.#waiting = this.#waiting.slice(batch.length);
      await this.#send(batch);
    }
    this.#busy = false;
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    try {
      const packer = new Packer();
      const jobs = batch.map(({ job }) => ("transaction" in job ? packTransaction(job.transaction, packer) : job));
      const { answer, buffer } = await this.#thread.ask({ type: "batch", jobs, buffer: packer.pack() });
      if (answer.revisionBefore > this.#hub.revision) this.#hub.publishGap(answer.revisionBefore);
      if (answer.revision > this.#hub.revision) {
        const events = batch.flatMap((pending, i) => eventsOf(pending, answer.outcomes[i]));
        this.#hub.publish({ revision: answer.revision, events });
      }
      for (const [i, pending] of batch.entries()) {
        const outcome = answer.outcomes[i];
        if (outcome !== undefined) pending.resolve(outcome, buffer);
      }
      if (this.#refusing) this.#log.info({}, "store takes writes again");
      this.#refusing = false;
    } catch (error) {
      if (!this.#refusing) this.#log.error({ error }, "store refuses writes");
      this.#refusing = true;
      for (const { reject } of batch) reject(error as Error);
    }
  }

  async #readHistory({ prefix, afterRevision }: HistoryRequest): Promise<WatchBatch> {
    const { answer, buffer } = await this.#thread.ask({ type: "history", prefix, afterRevision });
    const events = answer.events.map(
      (event): StoreEvent => (event.type === "put" ? { ...event, item: unpackItem(event.item, buffer) } : event),
    );
    return { revision: answer.revision, events };
  }

  // A lease whose keys cannot be deleted now (full disk) is tried again.
  async #expire(lease: string, clock: Clock): Promise<void> {
    await this.#change({ type: "endLease", lease }).catch((error) => {
      this.#log.warn({ lease, error }, "cannot end a lease, trying again");
      if (!this.#thread.closed) clock.after(1000, () => void this.#expire(lease, clock));
    });
  }
}

function takeBatch(waiting: readonly Pending[]): readonly Pending[] {
  let bytes = 0;
  let count = 0;
  for (const { job } of waiting) {
    if ("transaction" in job)
      for (const op of job.transaction.operations) bytes += op.type === "put" ? op.value.length : 0;
    if (count > 0 && (bytes > batchBytesMax || count >= batchJobsMax)) break;
    count++;
  }
  return waiting.slice(0, count);
}

function packTransaction(transaction: Transaction, packer: Packer): Job {
  const operations = transaction.operations.map(
    (operation): PackedOperation =>
      operation.type === "put"
        ? { key: operation.key, value: packer.add(operation.value), lease: operation.lease }
        : { key: operation.key, value: undefined, lease: undefined },
  );
  return { type: "transaction", compares: transaction.compares, operations };
}

function eventsOf({ job }: Pending, outcome: Outcome | undefined): readonly StoreEvent[] {
  if (outcome?.type === "deleted") return outcome.keys.map(({ key, revision }) => ({ type: "delete", key, revision }));
  if (outcome?.type !== "committed" || !("transaction" in job)) return [];
  const { revision, created } = outcome;
  const events: StoreEvent[] = [];
  for (const [i, operation] of job.transaction.operations.entries()) {
    const { key } = operation;
    const createRevision = created[i] ?? 0;
    if (createRevision === 0) continue;
    if (operation.type === "delete") events.push({ type: "delete", key, revision });
    else {
      const item = { key, value: operation.value, createRevision, modRevision: revision };
      events.push({ type: "put", key, revision, item });
    }
  }
  return events;
}

function conflict(outcome: Outcome & { type: "conflict" }, buffer: ArrayBuffer): CommitResult {
  const { revision, key, present } = outcome;
  const found = present === undefined ? undefined : unpackItem(present, buffer);
  return { committed: false, revision, conflict: { key, present: found } };
}
