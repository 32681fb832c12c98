// Moves a cluster from one store to another, such as from SQLite to etcd.

import { registryPrefix } from "./keys.ts";
import { prefixEnd, type Store } from "./store.ts";

const pageLimit = 500;
/** Keeps transactions below what etcd takes in one request. */
const transactionBytesMax = 1_000_000;
const transactionOperationsMax = 100;

export interface MigrateOptions {
  readonly from: Store;
  /** Must hold no objects yet. */
  readonly to: Store;
  readonly onProgress?: (copied: number) => void;
}

/**
 * Copies all objects as they are at one revision; the source must not be written meanwhile. Revisions start anew, leases (of Events) are not
 * carried over. Returns how many were copied; after a failure, empty the target and run it again.
 */
export async function migrateStore({ from, to, onProgress }: MigrateOptions): Promise<number> {
  const end = prefixEnd(registryPrefix);
  const there = await to.range({ start: registryPrefix, end, limit: 1 });
  if (there.items.length > 0) throw new Error("the target store holds objects already; copy into an empty one");
  let start = registryPrefix;
  let revision: number | undefined;
  let copied = 0;
  while (true) {
    const page = await from.range({ start, end, limit: pageLimit, ...(revision === undefined ? {} : { revision }) });
    revision = page.revision;
    for (const chunk of chunksOf(page.items)) {
      const operations = chunk.map(({ key, value }) => ({ type: "put" as const, key, value }));
      // Nobody else may fill the target at the same time.
      const compares = chunk.map(({ key }) => ({ key, modRevision: 0 }));
      const result = await to.commit({ compares, operations });
      if (!result.committed) throw new Error(`${result.conflict.key} appeared in the target store meanwhile`);
      copied += chunk.length;
      onProgress?.(copied);
    }
    const last = page.items[page.items.length - 1];
    if (!page.more || last === undefined) return copied;
    start = `${last.key}\0`;
  }
}

function chunksOf<T extends { readonly value: Uint8Array }>(items: readonly T[]): readonly (readonly T[])[] {
  const chunks: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const chunk = chunks[chunks.length - 1];
    bytes += item.value.byteLength;
    if (chunk === undefined || bytes > transactionBytesMax || chunk.length >= transactionOperationsMax) {
      chunks.push([item]);
      bytes = item.value.byteLength;
    } else {
      chunk.push(item);
    }
  }
  return chunks;
}
