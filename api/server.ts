// Opens the API: the cache over the store, the verbs, and what every cluster has from its first start. HTTP is in http/serve.ts.
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { AddressAllocator, type AllocationRanges } from "./allocation/allocator.ts";
import { bootstrap } from "./bootstrap.ts";
import { openWatchCache } from "./cache/store-cache.ts";
import type { WatchCacheLimits } from "./cache/watch-cache.ts";
import type { Store } from "./store/store.ts";
import type { Context } from "./verbs/context.ts";
import { EventLeases } from "./verbs/event-leases.ts";
import { indexFunctions } from "./verbs/indexes.ts";
import { type Verbs, verbsOf } from "./verbs/verbs.ts";

export interface ApiOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** True when other servers write to the same store. */
  readonly sharedStore?: boolean;
  readonly ranges?: AllocationRanges;
  readonly cacheLimits?: Partial<WatchCacheLimits>;
}

export interface Api extends AsyncDisposable {
  readonly verbs: Verbs;
  /** Store, cache, clock and the rest that the verbs use; for rooms of the server's own process. */
  readonly context: Context;
}

/** Resolves when the cache is filled and the first objects exist. The store stays the caller's to close, after the API. */
export async function openApi(options: ApiOptions): Promise<Api> {
  const { store, clock, random, log } = options;
  const cache = await openWatchCache(store, {
    clock,
    random,
    log,
    indexes: indexFunctions,
    ...(options.cacheLimits === undefined ? {} : { limits: options.cacheLimits }),
  });
  const allocator = new AddressAllocator({
    store,
    cache,
    random,
    ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
  });
  const context: Context = {
    store,
    cache,
    clock,
    random,
    log,
    allocator,
    eventLeases: new EventLeases(store, clock),
    sharedStore: options.sharedStore === true,
  };
  const verbs = verbsOf(context);
  await bootstrap(context, verbs);
  return { verbs, context, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() };
}
