// Where objects are durable: ordered keys under one growing revision. etcd's model, so that etcd is one implementation.

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

/** All conditions hold and all operations happen in one revision, or none happens. */
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

export type StoreEvent =
  | { readonly type: "put"; readonly item: KeyValue; readonly previous: KeyValue | undefined }
  | {
      readonly type: "delete";
      readonly key: string;
      readonly revision: number;
      readonly previous: KeyValue | undefined;
    };

/** Events of one or more whole revisions, oldest first; an empty batch only tells progress. */
export interface WatchBatch {
  /** Everything up to this revision has been delivered. */
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

export interface Store {
  /** Resolves when the transaction is durable. */
  commit(transaction: Transaction): Promise<CommitResult>;
  range(request: RangeRequest): Promise<RangeResult>;
  /**
   * Every event under the prefix with a revision above `afterRevision`, in order, none missed and none doubled, also across a lost
   * connection. Throws CompactedError when that history is gone.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /** Forgets history below `revision`. */
  compact(revision: number): Promise<void>;
  /** A lease's keys vanish when it is not renewed for `ttlMs`. */
  grantLease(ttlMs: number): Promise<string>;
  /** False when the lease has ended already. */
  renewLease(lease: string): Promise<boolean>;
  revokeLease(lease: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
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
