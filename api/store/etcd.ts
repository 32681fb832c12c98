// The store in etcd, which several servers can share; the only user of the etcd3 package, and of its plain calls only: retries and
// resumption are ours, so that no transaction is sent twice and no event is missed or doubled.
import {
  Etcd3,
  EtcdLeaseInvalidError,
  type IDeleteRangeRequest,
  type IOptions,
  type IPutRequest,
  type IResponseOp,
} from "etcd3";
import { backoffMs } from "../../lib/backoff.ts";
import { type Clock, sleep, type Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { isConnectionRefused, isWorthRetrying, storeError } from "./etcd-errors.ts";
import { itemOf, watchOnce } from "./etcd-watch.ts";
import {
  type CommitResult,
  CompactedError,
  checkTransaction,
  LeaseEndedError,
  type Operation,
  type RangeRequest,
  type RangeResult,
  type Store,
  type Transaction,
  type WatchBatch,
} from "./store.ts";

export interface EtcdStoreOptions {
  /** "host:port"; etcd should serve Naru alone, since a watch reads every revision. */
  readonly hosts: readonly string[];
  readonly tls?: { readonly ca: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly auth?: { readonly username: string; readonly password: string };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** How long a call waits for etcd, restarts of it included. */
const callMsMax = 10_000;
const retryBackoff = { firstMs: 50, maxMs: 1000 };
/** History is kept for about this many of these intervals. */
const compactionIntervalMs = 60_000;
const compactionIntervalsKept = 5;

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

// The package would send a transaction again whose answer was lost, and stop calling a host for seconds.
const callOnce: Policy = {
  _altReturn: undefined as never,
  onSuccess: () => ({ dispose: () => {} }),
  onFailure: () => ({ dispose: () => {} }),
  execute: async (call, signal = new AbortController().signal) => call({ signal }),
};

/** Resolves when etcd answered once. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const store = new EtcdStore(options);
  try {
    await store.range({ start: "\0", end: "\x01", limit: 1 });
    return store;
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

class EtcdStore implements Store {
  readonly #etcd: Etcd3;
  readonly #options: EtcdStoreOptions;
  readonly #closed = new AbortController();
  #compactionTimer: Timer;
  readonly #pastRevisions: number[] = [];

  constructor(options: EtcdStoreOptions) {
    const { tls, auth, hosts } = options;
    this.#options = options;
    this.#etcd = new Etcd3({
      hosts: hosts.map((host) => (tls === undefined ? host : `https://${host}`)),
      ...(tls && {
        credentials: {
          rootCertificate: tls.ca,
          ...(tls.key && { privateKey: tls.key }),
          ...(tls.cert && { certChain: tls.cert }),
        },
      }),
      ...(auth && { auth }),
      faultHandling: { global: callOnce, host: () => callOnce },
      grpcOptions: {
        "grpc.max_receive_message_length": -1,
        "grpc.keepalive_time_ms": 10_000,
        "grpc.keepalive_timeout_ms": 5000,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1000,
      },
    });
    this.#compactionTimer = options.clock.after(compactionIntervalMs, () => void this.#compactPast());
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    checkTransaction(transaction);
    const { compares, operations } = transaction;
    const request = {
      compare: compares.map(({ key, modRevision }) => ({
        key: Buffer.from(key),
        target: "Mod" as const,
        result: "Equal" as const,
        mod_revision: modRevision,
      })),
      success: operations.map(requestOf),
      failure: compares.map(({ key }) => ({ request_range: { key: Buffer.from(key) } })),
    };
    const answer = await this.#call("commit", isConnectionRefused, (deadline) =>
      this.#etcd.kv.txn(request, { deadline }),
    ).catch((error) => {
      throw error.cause instanceof EtcdLeaseInvalidError ? new LeaseEndedError(leaseOf(operations)) : error;
    });
    const revision = Number(answer.header.revision);
    if (answer.succeeded) return { committed: true, revision };
    return { committed: false, revision, conflict: findConflict(transaction, answer.responses) };
  }

  async range({ start, end, limit, revision }: RangeRequest): Promise<RangeResult> {
    const request = {
      key: Buffer.from(start),
      range_end: Buffer.from(end),
      limit: limit ?? 0,
      revision: revision ?? 0,
    };
    const answer = await this.#call("range", isWorthRetrying, (deadline) => this.#etcd.kv.range(request, { deadline }));
    return {
      revision: revision ?? Number(answer.header.revision),
      items: answer.kvs.map(itemOf),
      more: answer.more,
    };
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const { clock, random, log } = this.#options;
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    let delivered = afterRevision;
    for (let failures = 0; !ended.aborted; failures++) {
      try {
        const start = { etcd: this.#etcd, clock, prefix, afterRevision: delivered };
        for await (const batch of watchOnce(start, () => this.#checkKept(delivered), ended)) {
          failures = 0;
          delivered = batch.revision;
          yield batch;
        }
      } catch (error) {
        if (ended.aborted) return;
        if (error instanceof CompactedError) throw error;
        log.info({ error, revision: delivered }, "watch of etcd broke, resuming");
        await sleep(clock, backoffMs(retryBackoff, failures, random), ended).catch(() => {});
      }
    }
  }

  async compact(revision: number): Promise<void> {
    await this.#call("compact", isWorthRetrying, (deadline) => this.#etcd.kv.compact({ revision }, { deadline })).catch(
      (error) => {
        // Another server was faster.
        if (!(error instanceof CompactedError)) throw error;
      },
    );
  }

  async grantLease(ttlMs: number): Promise<string> {
    const TTL = Math.ceil(ttlMs / 1000);
    const answer = await this.#call("grant lease", isWorthRetrying, (deadline) =>
      this.#etcd.leaseClient.leaseGrant({ TTL }, { deadline }),
    );
    return answer.ID;
  }

  async renewLease(lease: string): Promise<boolean> {
    return this.#call("renew lease", isWorthRetrying, async (deadline) => {
      const stream = await this.#etcd.leaseClient.leaseKeepAlive({ deadline });
      try {
        stream.write({ ID: lease });
        for await (const answer of stream as unknown as AsyncIterable<{ TTL: string }>) return Number(answer.TTL) > 0;
        throw new Error("the stream ended without an answer");
      } finally {
        stream.on("error", () => {});
        stream.cancel();
      }
    });
  }

  async revokeLease(lease: string): Promise<void> {
    await this.#call("revoke lease", isWorthRetrying, (deadline) =>
      this.#etcd.leaseClient.leaseRevoke({ ID: lease }, { deadline }),
    ).catch((error) => {
      if (!(error.cause instanceof EtcdLeaseInvalidError)) throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error("the store is closed"));
    this.#compactionTimer.cancel();
    this.#etcd.close();
  }

  async #call<T>(
    what: string,
    mayRetry: (error: unknown) => boolean,
    call: (deadline: number) => Promise<T>,
  ): Promise<T> {
    const { clock, random } = this.#options;
    const deadline = clock.now() + callMsMax;
    for (let failures = 0; ; failures++) {
      try {
        this.#closed.signal.throwIfAborted();
        return await call(deadline);
      } catch (error) {
        const waitMs = backoffMs(retryBackoff, failures, random);
        const again = mayRetry(error) && !this.#closed.signal.aborted && clock.now() + waitMs < deadline;
        if (!again) throw storeError(what, error);
        await sleep(clock, waitMs, this.#closed.signal).catch(() => {});
      }
    }
  }

  // etcd starts a watch at its compaction's revision although a deletion in just that revision is gone already.
  async #checkKept(delivered: number): Promise<void> {
    if (delivered <= 0) return;
    await this.range({ start: "\0", end: "\x01", limit: 1, revision: delivered }).catch((error) => {
      if (!isFuture(error)) throw error;
    });
  }

  async #compactPast(): Promise<void> {
    try {
      const { revision } = await this.range({ start: "\0", end: "\x01", limit: 1 });
      this.#pastRevisions.push(revision);
      if (this.#pastRevisions.length > compactionIntervalsKept) await this.compact(this.#pastRevisions.shift() ?? 1);
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#options.log.warn({ error }, "cannot compact etcd");
    }
    if (this.#closed.signal.aborted) return;
    this.#compactionTimer = this.#options.clock.after(compactionIntervalMs, () => void this.#compactPast());
  }
}

function requestOf(operation: Operation): { request_put: IPutRequest } | { request_delete_range: IDeleteRangeRequest } {
  const key = Buffer.from(operation.key);
  if (operation.type === "delete") return { request_delete_range: { key } };
  const { buffer, byteOffset, byteLength } = operation.value;
  return { request_put: { key, value: Buffer.from(buffer, byteOffset, byteLength), lease: operation.lease ?? 0 } };
}

function leaseOf(operations: readonly Operation[]): string {
  const put = operations.find((operation) => operation.type === "put" && operation.lease !== undefined);
  return put?.type === "put" ? (put.lease ?? "") : "";
}

function findConflict({ compares }: Transaction, responses: readonly IResponseOp[]) {
  for (const [i, { key, modRevision }] of compares.entries()) {
    const found = responses[i]?.response_range.kvs[0];
    if (Number(found?.mod_revision ?? 0) !== modRevision) {
      return { key, present: found === undefined ? undefined : itemOf(found) };
    }
  }
  throw new Error("bug: etcd refused a transaction whose compares hold");
}

function isFuture(error: unknown): boolean {
  return error instanceof Error && error.message.includes("future revision");
}
