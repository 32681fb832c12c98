// One write of one object: compared with the version it was made from, durable and visible when it resolves.
import type { CachedItem } from "../cache/watch-cache.ts";
import type { Kind } from "../kinds/kind.ts";
import { type KubeObject, keyOf } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { storeKey } from "../store/keys.ts";
import type { CommitResult, Transaction } from "../store/store.ts";
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

const objectBytesMax = 1_500_000;

/** The written version; undefined when the object or the guard was changed meanwhile, with the cache already at what is there now. */
export async function commitObject(context: Context, write: Write): Promise<Written | undefined> {
  const { kind, live, object } = write;
  const key = keyOf(object ?? live?.object ?? {});
  const result = await context.store.commit(transactionOf(write, storeKey(kind.resource, key)));
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
  if (bytes.length > objectBytesMax) {
    throw new ApiError(
      "RequestEntityTooLarge",
      `an object may have ${objectBytesMax} bytes as JSON, this one has ${bytes.length}`,
    );
  }
  return bytes;
}

function transactionOf({ live, object, guard }: Write, key: string): Transaction {
  const compare = { key, modRevision: live?.revision ?? 0 };
  const operation =
    object === undefined
      ? ({ type: "delete", key } as const)
      : ({ type: "put", key, value: encodeObject(object) } as const);
  if (guard === undefined) return { compares: [compare], operations: [operation] };
  return {
    compares: [compare, guard],
    operations: [operation, { type: "put", key: guard.key, value: new Uint8Array() }],
  };
}

function revisionToSee(result: CommitResult & { readonly committed: false }): number {
  return result.conflict.present?.modRevision ?? result.revision;
}
