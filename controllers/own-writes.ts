// What a controller has written and its cache has not shown yet, so that a second pass does not do the same again.
import type { Clock } from "../lib/clock.ts";

export interface OwnWrites {
  created(owner: string, key: string): void;
  deleted(owner: string, key: string): void;
  /** The cache shows it now. */
  seen(owner: string, key: string): void;
  /** How many created objects the cache does not show. */
  unseen(owner: string, isCached: (key: string) => boolean): number;
  isDeleted(owner: string, key: string): boolean;
  forget(owner: string): void;
}

// A cache that has not shown a write by then never will: the object came and went between two looks.
const patienceMs = 10_000;

export function createOwnWrites(clock: Clock): OwnWrites {
  const owners = new Map<string, { readonly created: Map<string, number>; readonly deleted: Map<string, number> }>();
  const of = (owner: string) => {
    const known = owners.get(owner) ?? { created: new Map<string, number>(), deleted: new Map<string, number>() };
    owners.set(owner, known);
    return known;
  };
  const dropOld = (writes: Map<string, number>) => {
    for (const [key, atMs] of writes) if (clock.monotonicMs() - atMs > patienceMs) writes.delete(key);
  };
  return {
    created: (owner, key) => void of(owner).created.set(key, clock.monotonicMs()),
    deleted: (owner, key) => void of(owner).deleted.set(key, clock.monotonicMs()),
    seen: (owner, key) => void owners.get(owner)?.created.delete(key),
    unseen: (owner, isCached) => {
      const created = owners.get(owner)?.created;
      if (created === undefined) return 0;
      dropOld(created);
      for (const key of created.keys()) if (isCached(key)) created.delete(key);
      return created.size;
    },
    isDeleted: (owner, key) => {
      const deleted = owners.get(owner)?.deleted;
      if (deleted === undefined) return false;
      dropOld(deleted);
      return deleted.has(key);
    },
    forget: (owner) => void owners.delete(owner),
  };
}
