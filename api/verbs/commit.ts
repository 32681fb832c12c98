// One write of one object: compared with the version it was made from, durable and visible when it resolves.
import type { CachedItem } from "../cache/watch-cache.ts";
import type { Kind } from "../kinds/kind.ts";
import { type KubeObject, keyOf } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { storeKey } from "../store/keys.ts";
import {
  type CommitResult,
  LeaseEndedError,
  StoreUnavailableError,
  TooLargeError,
  type Transaction,
  valueBytesMax,
} from "../store/store.ts";
import type { Context } from "./context.ts";

/** An object as a verb answers it: a version in the store, or what a dry run would have made. */
export interface Written {
  readonly object: KubeObject;
  /** The version's JSON, when it is in the cache: encoded once for everybody. */
  readonly item?: CachedItem;
}

export interface Write {
  readonly kind: Kind;
  /** undefined: it must not exist. */
  readonly live: CachedItem | undefined;
  /** undefined: delete it. */
  readonly object: KubeObject | undefined;
  /** A further key that must be at this revision and is written too: guards allocations. */
  readonly guard?: { readonly key: string; readonly modRevision: number };
}

/** The written version; undefined when the object or the guard was changed meanwhile, with the cache already at what is there now. */
export async function commitObject(context: Context, write: Write): Promise<Written | undefined> {
  const { kind, live, object } = write;
  const key = keyOf(object ?? live?.object ?? {});
  const result = await commitWithLease(context, write, storeKey(kind.resource, key));
  if (!result.committed) {
    await context.cache.waitUntil(revisionToSee(result));
    return undefined;
  }
  await context.cache.waitUntil(result.revision);
  if (object === undefined) return { object: live?.object ?? {} };
  const item = context.cache.get<KubeObject>(kind.resource, key);
  if (item?.revision === result.revision) return { object: item.object, item };
  return { object: { ...object, metadata: { ...object.metadata, resourceVersion: String(result.revision) } } };
}

/** JSON as it is stored: without resourceVersion, which the store itself knows. */
export function encodeObject(object: KubeObject): Uint8Array {
  const { resourceVersion: _, ...metadata } = object.metadata ?? {};
  const bytes = Buffer.from(JSON.stringify({ ...object, metadata }));
  if (bytes.length > valueBytesMax) {
    throw new ApiError(
      "RequestEntityTooLarge",
      `an object may have ${valueBytesMax} bytes as JSON, this one has ${bytes.length}`,
    );
  }
  return bytes;
}

/** Throws what the store cannot do as an ApiError. */
export function commitTransaction({ store }: Context, transaction: Transaction): Promise<CommitResult> {
  return store.commit(transaction).catch((cause: unknown) => {
    throw storeRefusal(cause);
  });
}

/** ServiceUnavailable or RequestEntityTooLarge for what the store says of itself; anything else as it came. */
export function storeRefusal(cause: unknown): unknown {
  if (cause instanceof TooLargeError) return new ApiError("RequestEntityTooLarge", cause.message, { cause });
  if (!(cause instanceof StoreUnavailableError)) return cause;
  const doubt = cause.outcomeUnknown ? "; the write may have been done all the same" : "";
  return new ApiError("ServiceUnavailable", `the store cannot be written: ${cause.message}${doubt}`, {
    cause,
    details: { retryAfterSeconds: 1 },
  });
}

async function commitWithLease(context: Context, write: Write, key: string): Promise<CommitResult> {
  const { resource } = write.kind;
  if (write.object === undefined || resource.group !== "" || resource.resource !== "events") {
    return commitTransaction(context, transactionOf(write, key));
  }
  for (let tries = 0; ; tries++) {
    const lease = context.eventLeases.current();
    try {
      return await commitTransaction(context, transactionOf(write, key, await lease));
    } catch (error) {
      if (!(error instanceof LeaseEndedError) || tries > 0) throw storeRefusal(error);
      context.eventLeases.forget(lease);
    }
  }
}

function transactionOf({ live, object, guard }: Write, key: string, lease?: string): Transaction {
  const compare = { key, modRevision: live?.revision ?? 0 };
  const operation =
    object === undefined
      ? ({ type: "delete", key } as const)
      : ({ type: "put", key, value: encodeObject(object), ...(lease === undefined ? {} : { lease }) } as const);
  if (guard === undefined) return { compares: [compare], operations: [operation] };
  return {
    compares: [compare, guard],
    operations: [operation, { type: "put", key: guard.key, value: new Uint8Array() }],
  };
}

function revisionToSee(result: CommitResult & { readonly committed: false }): number {
  return result.conflict.present?.modRevision ?? result.revision;
}
