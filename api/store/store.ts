// Where objects are durable: ordered keys under one growing revision. etcd's model, so that etcd is one implementation.
import { assert } from "../../lib/assert.ts";

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the commit that made the key. */
  readonly createRevision: number;
  /** Revision of the commit that last wrote it. */
  readonly modRevision: number;
}

/** A condition on one key; modRevision 0 says "does not exist". */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array; readonly lease?: string }
  | { readonly type: "delete"; readonly key: string };

/**
 * All conditions hold and all operations happen in one revision, or none happens. Each key at most once among the operations, at most
 * `operationsMax` of them; keys are ASCII and not empty. One that changes nothing (deletes what is not there) makes no revision.
 */
export interface Transaction {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

export type CommitResult =
  | { readonly committed: true; readonly revision: number }
  /** `conflict`: the first key whose condition failed, with its present state. */
  | {
      readonly committed: false;
      readonly revision: number;
      readonly conflict: { readonly key: string; readonly present: KeyValue | undefined };
    };

export interface RangeRequest {
  /** Keys k with start <= k < end. */
  readonly start: string;
  readonly end: string;
  readonly limit?: number;
  /** The state as of this revision; now when absent. Fails with CompactedError when it is no longer kept. */
  readonly revision?: number;
}

export interface RangeResult {
  /** Revision of the whole store that the items belong to. */
  readonly revision: number;
  readonly items: readonly KeyValue[];
  readonly more: boolean;
}

/** The state before is not told: the watch cache, its reader, has it already. */
export type StoreEvent =
  | { readonly type: "put"; readonly key: string; readonly revision: number; readonly item: KeyValue }
  | { readonly type: "delete"; readonly key: string; readonly revision: number };

/** Events of one or more whole revisions, oldest first; an empty batch only tells progress. */
export interface WatchBatch {
  /** Everything up to this revision has been delivered. */
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

export interface Store {
  /**
   * Resolves when the transaction is durable. Rejects with StoreUnavailableError when the disk is full or etcd does not answer; values must
   * not be changed afterwards, watchers share them.
   */
  commit(transaction: Transaction): Promise<CommitResult>;
  range(request: RangeRequest): Promise<RangeResult>;
  /**
   * Every event under the prefix with a revision above `afterRevision`, in order, none missed and none doubled, also across a lost
   * connection. Throws CompactedError when that history is gone.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /** Forgets history below `revision`. */
  compact(revision: number): Promise<void>;
  /** A lease's keys vanish when it is not renewed for `ttlMs` (etcd rounds up to seconds). A put without the lease detaches its key. */
  grantLease(ttlMs: number): Promise<string>;
  /** False when the lease has ended already. */
  renewLease(lease: string): Promise<boolean>;
  revokeLease(lease: string): Promise<void>;
  /** A copy of all there is, made while the store is used. Absent where the store has tools of its own for that. */
  readonly backup?: (() => Promise<StoreCopy>) | undefined;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A file; it goes when it is disposed. */
export interface StoreCopy extends AsyncDisposable {
  readonly path: string;
}

/** Operations, and compares, of one transaction (etcd's default). */
export const operationsMax = 128;
/** One key's value (etcd takes requests of 1.5 MiB). */
export const valueBytesMax = 1_400_000;

/** The store cannot do it now; the same may work later. */
export class StoreUnavailableError extends Error {
  /** Whether the transaction may have happened all the same. */
  readonly outcomeUnknown: boolean;

  constructor(message: string, options: { readonly cause?: unknown; readonly outcomeUnknown?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.name = "StoreUnavailableError";
    this.outcomeUnknown = options.outcomeUnknown ?? false;
  }
}

/** A put named a lease that has ended. */
export class LeaseEndedError extends Error {
  constructor(lease: string) {
    super(`lease ${lease} has ended`);
    this.name = "LeaseEndedError";
  }
}

/** A value or a transaction is larger than any store takes. */
export class TooLargeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "TooLargeError";
  }
}

/** Refuses what not every store could do, so that all refuse the same. */
export function checkTransaction(transaction: Transaction): void {
  const { compares, operations } = transaction;
  if (operations.length > operationsMax || compares.length > operationsMax) {
    throw new TooLargeError(
      `a transaction of ${operations.length} operations and ${compares.length} compares; at most ${operationsMax} each`,
    );
  }
  const keys = operations.length > 1 ? new Set<string>() : undefined;
  for (const operation of operations) {
    assert(operation.key !== "", "a key is empty");
    if (operation.type === "put" && operation.value.byteLength > valueBytesMax) {
      throw new TooLargeError(
        `${operation.key} has ${operation.value.byteLength} bytes; at most ${valueBytesMax} can be stored`,
      );
    }
    if (keys === undefined) continue;
    assert(!keys.has(operation.key), `${operation.key} occurs twice in one transaction`);
    keys.add(operation.key);
  }
}

/** The asked revision is older than what the store keeps. */
export class CompactedError extends Error {
  readonly oldestRevision: number;

  constructor(oldestRevision: number) {
    super(`history before revision ${oldestRevision} is gone`);
    this.name = "CompactedError";
    this.oldestRevision = oldestRevision;
  }
}

/** The end of the range of all keys that start with `prefix`. */
export function prefixEnd(prefix: string): string {
  return `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
}
