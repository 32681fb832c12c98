// The watch cache over a store: fills it with one list, then follows one watch.
import { backoffMs } from "../../lib/backoff.ts";
import { sleep, type Timer } from "../../lib/clock.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { parseStoreKey, registryPrefix, resourcePrefix, storeKey } from "../store/keys.ts";
import {
  CompactedError,
  type KeyValue,
  prefixEnd,
  type RangeResult,
  type Store,
  type WatchBatch,
} from "../store/store.ts";
import { Collection, position } from "./collection.ts";
import { expired } from "./event-window.ts";
import { type Item, parseItem } from "./item.ts";

import type {
  CacheBatch,
  CachedItem,
  CacheList,
  CachePage,
  CachePageRequest,
  CacheSelection,
  CacheWatchOptions,
  WatchCache,
  WatchCacheLimits,
  WatchCacheOptions,
} from "./watch-cache.ts";

const defaultLimits: WatchCacheLimits = {
  windowEventsMax: 4096,
  windowBytesMin: 1024 * 1024,
  windowBytesMax: 8 * 1024 * 1024,
  bufferEventsMax: 10_000,
  progressMs: 5000,
};

/** Resolves when all that the store holds is in the cache. The store stays the caller's to close, after the cache. */
export async function openWatchCache(store: Store, options: WatchCacheOptions): Promise<WatchCache> {
  const cache = new StoreCache(store, options);
  await cache.load();
  return cache;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class StoreCache implements WatchCache {
  readonly #store: Store;
  readonly #options: WatchCacheOptions;
  readonly #limits: WatchCacheLimits;
  readonly #collections = new Map<string, Collection>();
  readonly #stopped = new AbortController();
  #waiters: Waiter[] = [];
  #following: Promise<void> = Promise.resolve();
  #progressTimer: Timer | undefined;
  #revision = 0;
  /** Nothing below is known to new collections. */
  #startRevision = 0;

  constructor(store: Store, options: WatchCacheOptions) {
    this.#store = store;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
  }

  get revision(): number {
    return this.#revision;
  }

  get<T extends KubeObject>(resource: Resource<T>, key: string): CachedItem<T> | undefined {
    return this.#collections.get(resourcePrefix(resource))?.get(key) as CachedItem<T> | undefined;
  }

  list<T extends KubeObject>(resource: Resource<T>, selection: CacheSelection = {}): CacheList<T> {
    const items = this.#collections.get(resourcePrefix(resource))?.list(selection) ?? [];
    return { revision: this.#revision, items: items as readonly CachedItem[] as readonly CachedItem<T>[] };
  }

  async page<T extends KubeObject>(resource: Resource<T>, request: CachePageRequest): Promise<CachePage<T>> {
    const changed = this.#collections.get(resourcePrefix(resource))?.changedRevision ?? 0;
    if (request.revision !== undefined && changed > request.revision) return this.#pageOfStore(resource, request);
    const { namespace, afterKey, limit } = request;
    const { items } = this.list(resource, namespace === undefined ? {} : { namespace });
    // The first key that is not below "afterKey followed by the smallest character" is the first above it.
    const from = afterKey === undefined ? 0 : position(items, `${afterKey}\0`);
    const remaining = Math.max(0, items.length - from - limit);
    const revision = request.revision ?? this.#revision;
    return { revision, items: items.slice(from, from + limit), more: remaining > 0, remaining };
  }

  count(resource: Resource): number {
    return this.#collections.get(resourcePrefix(resource))?.size ?? 0;
  }

  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: CacheWatchOptions<T>,
    signal: AbortSignal,
  ): AsyncGenerator<CacheBatch<T>> {
    if (signal.aborted) return;
    const collection = this.#collection(resourcePrefix(resource));
    const { namespace, index } = options;
    const matches = options.matches as ((object: KubeObject) => boolean) | undefined;
    const valuesOf = index === undefined ? undefined : collection.indexFunction(index.name);
    const filter = { namespace, matches, index: index && valuesOf && { ...index, valuesOf } };
    const watcher = collection.watch(filter, options.afterRevision);
    const onAbort = () => watcher.wake();
    signal.addEventListener("abort", onAbort);
    this.#progressTimer ??= this.#options.clock.after(this.#limits.progressMs, () => this.#tellProgress());
    try {
      for (let batch = await watcher.next(signal); batch !== undefined; batch = await watcher.next(signal)) {
        yield batch as CacheBatch<T>;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      collection.unwatch(watcher);
    }
  }

  waitUntil(revision: number, signal?: AbortSignal): Promise<void> {
    if (revision <= this.#revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const onAbort = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason);
      };
      const waiter = {
        revision,
        reject,
        resolve: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  async waitUntilFresh(signal?: AbortSignal): Promise<number> {
    const { revision } = await this.#store.range({ start: registryPrefix, end: `${registryPrefix}\0`, limit: 1 });
    await this.waitUntil(revision, signal);
    return revision;
  }

  async load(): Promise<void> {
    for await (const { items, revision } of this.#pagesOfStore()) {
      this.#revision = revision;
      this.#startRevision = revision;
      for (const { prefix, item } of this.#parseAll(items)) this.#collection(prefix).load(item);
    }
    this.#following = this.#follow();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    this.#progressTimer?.cancel();
    await this.#following;
    for (const { reject } of this.#waiters) reject(closedError());
    const closed = closedError();
    for (const collection of this.#collections.values())
      for (const watcher of collection.watchers()) watcher.fail(closed);
  }

  #collection(prefix: string): Collection {
    const known = this.#collections.get(prefix);
    if (known !== undefined) return known;
    const collection = new Collection({
      limits: this.#limits,
      indexes: this.#options.indexes?.[indexesKey(prefix)] ?? {},
      startRevision: this.#startRevision,
      appliedRevision: () => this.#revision,
    });
    this.#collections.set(prefix, collection);
    return collection;
  }

  // Follows the store until the cache is closed; a break costs a pause, lost history a new list.
  async #follow(): Promise<void> {
    const { signal } = this.#stopped;
    const { clock, random, log } = this.#options;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        for await (const batch of this.#store.watch(registryPrefix, this.#revision, signal)) {
          failures = 0;
          this.#apply(batch);
        }
        if (!signal.aborted) throw new Error("the store ended the watch");
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error, revision: this.#revision }, "watch of the store broke, resuming");
        await sleep(clock, backoffMs({ firstMs: 50, maxMs: 2000 }, failures, random), signal).catch(() => {});
        if (error instanceof CompactedError)
          await this.#reload().catch((cause) => log.warn({ error: cause }, "cannot list the store"));
      }
    }
  }

  #apply(batch: WatchBatch): void {
    for (const event of batch.events) {
      const parsed = parseStoreKey(event.key);
      if (parsed === undefined) continue;
      const item = event.type === "put" ? this.#parse(parsed.key, event.item) : undefined;
      if (event.type === "put" && item === undefined) continue;
      this.#collection(parsed.prefix).apply(parsed.key, item, event.revision);
    }
    this.#advance(batch.revision);
  }

  #advance(revision: number): void {
    this.#revision = revision;
    if (this.#waiters.length === 0) return;
    const done = this.#waiters.filter((waiter) => waiter.revision <= revision);
    if (done.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const { resolve } of done) resolve();
  }

  // History was compacted before we read it: compare with a fresh list and tell the differences as events of its revision.
  async #reload(): Promise<void> {
    const found = new Map<string, Map<string, Item>>();
    let revision = this.#revision;
    for await (const page of this.#pagesOfStore()) {
      revision = page.revision;
      for (const { prefix, item } of this.#parseAll(page.items)) {
        const items = found.get(prefix) ?? new Map<string, Item>();
        found.set(prefix, items.set(item.key, item));
      }
    }
    for (const prefix of found.keys()) this.#collection(prefix);
    for (const [prefix, collection] of this.#collections) {
      const items = found.get(prefix) ?? new Map<string, Item>();
      collection.window.restart(revision);
      for (const key of [...collection.keys()]) if (!items.has(key)) collection.apply(key, undefined, revision);
      for (const item of items.values()) {
        if (collection.get(item.key)?.revision !== item.revision) {
          collection.apply(item.key, item, item.revision);
        }
      }
      collection.window.restart(revision);
    }
    this.#startRevision = revision;
    this.#advance(revision);
  }

  async *#pagesOfStore(): AsyncGenerator<RangeResult> {
    const end = prefixEnd(registryPrefix);
    let start = registryPrefix;
    let revision: number | undefined;
    while (true) {
      const page = await this.#store.range({ start, end, limit: 500, ...(revision === undefined ? {} : { revision }) });
      yield page;
      const last = page.items[page.items.length - 1];
      if (!page.more || last === undefined) return;
      revision = page.revision;
      start = `${last.key}\0`;
    }
  }

  async #pageOfStore<T extends KubeObject>(resource: Resource<T>, request: CachePageRequest): Promise<CachePage<T>> {
    const prefix = resourcePrefix(resource) + (request.namespace === undefined ? "" : `${request.namespace}/`);
    const start = request.afterKey === undefined ? prefix : `${storeKey(resource, request.afterKey)}\0`;
    const { limit, revision = this.#revision } = request;
    try {
      const page = await this.#store.range({ start, end: prefixEnd(prefix), limit, revision });
      const items = this.#parseAll(page.items).map(({ item }) => item as CachedItem as CachedItem<T>);
      return { revision, items, more: page.more };
    } catch (error) {
      if (error instanceof CompactedError) throw expired(revision, error.oldestRevision);
      throw error;
    }
  }

  #parseAll(items: readonly KeyValue[]): readonly { readonly prefix: string; readonly item: Item }[] {
    return items.flatMap((stored) => {
      const parsed = parseStoreKey(stored.key);
      const item = parsed && this.#parse(parsed.key, stored);
      return item === undefined || parsed === undefined ? [] : [{ prefix: parsed.prefix, item }];
    });
  }

  #parse(key: string, stored: KeyValue): Item | undefined {
    try {
      return parseItem(key, stored.modRevision, stored.value);
    } catch (error) {
      this.#options.log.error({ key: stored.key, error }, "object in the store is not JSON");
      return undefined;
    }
  }

  #tellProgress(): void {
    this.#progressTimer = undefined;
    let watched = false;
    for (const collection of this.#collections.values()) {
      for (const watcher of collection.watchers()) {
        watched = true;
        watcher.tellProgress();
      }
    }
    if (watched) this.#progressTimer = this.#options.clock.after(this.#limits.progressMs, () => this.#tellProgress());
  }
}

/** "/registry/apps/deployments/" -> "deployments.apps" */
function indexesKey(prefix: string): string {
  const [group, resource] = prefix.slice(registryPrefix.length).split("/");
  return group === "core" ? `${resource}` : `${resource}.${group}`;
}

function closedError(): ApiError {
  return new ApiError("ServiceUnavailable", "the server is stopping");
}
