// What the SQLite store and its worker thread tell each other. Values travel packed into one transferred buffer per message.
import type { KeyValue } from "./store.ts";

/** A part of the message's buffer. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

export interface PackedOperation {
  readonly key: string;
  /** undefined deletes the key. */
  readonly value: Slice | undefined;
  readonly lease: string | undefined;
}

export interface PackedItem {
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly value: Slice;
}

/** What happens in the order of the commits. */
export type Job =
  | {
      readonly type: "transaction";
      readonly compares: readonly { readonly key: string; readonly modRevision: number }[];
      readonly operations: readonly PackedOperation[];
    }
  | { readonly type: "grantLease"; readonly lease: string; readonly ttlMs: number }
  | { readonly type: "endLease"; readonly lease: string };

export type Outcome =
  /** `created`: per operation the create revision, 0 for a delete of what is not there. */
  | { readonly type: "committed"; readonly revision: number; readonly created: readonly number[] }
  | {
      readonly type: "conflict";
      readonly revision: number;
      readonly key: string;
      readonly present: PackedItem | undefined;
    }
  | { readonly type: "leaseEnded"; readonly lease: string }
  | { readonly type: "deleted"; readonly keys: readonly { readonly key: string; readonly revision: number }[] };

export type Request =
  | { readonly type: "batch"; readonly jobs: readonly Job[]; readonly buffer: ArrayBuffer }
  | {
      readonly type: "range";
      readonly start: string;
      readonly end: string;
      readonly limit: number | undefined;
      readonly revision: number | undefined;
    }
  | { readonly type: "history"; readonly prefix: string; readonly afterRevision: number }
  | { readonly type: "compact"; readonly revision: number }
  | { readonly type: "copy"; readonly path: string }
  | { readonly type: "close" };

export type PackedEvent =
  | { readonly type: "put"; readonly key: string; readonly revision: number; readonly item: PackedItem }
  | { readonly type: "delete"; readonly key: string; readonly revision: number };

export interface Opened {
  readonly revision: number;
  readonly leases: readonly { readonly lease: string; readonly ttlMs: number }[];
}

export type Answer =
  | {
      readonly type: "batch";
      readonly revisionBefore: number;
      readonly revision: number;
      readonly outcomes: readonly Outcome[];
    }
  | {
      readonly type: "range";
      readonly revision: number;
      readonly items: readonly PackedItem[];
      readonly more: boolean;
    }
  | { readonly type: "history"; readonly revision: number; readonly events: readonly PackedEvent[] }
  | { readonly type: "compact"; readonly done: boolean }
  | { readonly type: "copy"; readonly done: boolean }
  | { readonly type: "close" }
  | { readonly type: "compacted"; readonly oldestRevision: number }
  | { readonly type: "failed"; readonly message: string; readonly outcomeUnknown: boolean };

export interface Reply {
  readonly id: number;
  readonly answer: Answer;
  readonly buffer: ArrayBuffer;
}

/** Gathers values into one buffer. */
export class Packer {
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(value: Uint8Array): Slice {
    const start = this.#bytes;
    this.#parts.push(value);
    this.#bytes += value.byteLength;
    return { start, end: this.#bytes };
  }

  pack(): ArrayBuffer {
    const packed = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      packed.set(part, at);
      at += part.byteLength;
    }
    return packed.buffer;
  }
}

export function unpackItem(item: PackedItem, buffer: ArrayBuffer): KeyValue {
  const { key, createRevision, modRevision, value } = item;
  return { key, createRevision, modRevision, value: new Uint8Array(buffer, value.start, value.end - value.start) };
}
