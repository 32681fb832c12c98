// The server's one copy of the store, for reading: every object parsed once and encoded once, however many lists and watches it serves.
// Here are its types; store-cache.ts opens one.
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";

/** One version of one object. */
export interface CachedItem<T extends KubeObject = KubeObject> {
  /** "namespace/name", or "name" for objects without a namespace. */
  readonly key: string;
  /** Its resourceVersion as a number; for a deleted object the revision of its deletion. */
  readonly revision: number;
  /** Shared by all readers: never change it. metadata.resourceVersion is set. */
  readonly object: T;
  /** `object` as JSON, encoded on first use and kept. */
  readonly json: Buffer;
}

/** As one watcher sees it: an object that begins or ceases to match the watcher's filter is ADDED or DELETED to it. */
export interface CacheEvent<T extends KubeObject = KubeObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** For DELETED: the last state, with the resourceVersion of this event. */
  readonly item: CachedItem<T>;
  /** The version before, also when it did not match the filter. */
  readonly previous: CachedItem<T> | undefined;
  readonly revision: number;
  /** The line of a watch response, `{"type":…,"object":…}\n`, encoded on first use and shared by all watchers. */
  readonly frame: Buffer;
}

/** Events of whole revisions, oldest first. Without events it only tells progress: a bookmark. */
export interface CacheBatch<T extends KubeObject = KubeObject> {
  /** The watcher has now been told everything up to this revision. */
  readonly revision: number;
  readonly events: readonly CacheEvent<T>[];
}

export interface CacheList<T extends KubeObject = KubeObject> {
  /** Revision of the whole store that the items belong to. */
  readonly revision: number;
  /** Ordered by key as the store orders them. */
  readonly items: readonly CachedItem<T>[];
}

/** At most one of the fields; none selects all objects. */
export interface CacheSelection {
  readonly namespace?: string;
  /** Objects for which the index function of that name returned the value. Costs only what it finds. */
  readonly index?: { readonly name: string; readonly value: string };
}

export interface CachePageRequest {
  readonly namespace?: string;
  /** Objects with a greater key; from the first one when absent. */
  readonly afterKey?: string;
  readonly limit: number;
  /** State as of this revision (from a continue token); now when absent. */
  readonly revision?: number;
}

export interface CachePage<T extends KubeObject = KubeObject> extends CacheList<T> {
  /** There are objects after the last item. */
  readonly more: boolean;
  /** How many follow, when it is known for free. */
  readonly remaining?: number;
}

export interface CacheWatchOptions<T extends KubeObject = KubeObject> extends CacheSelection {
  /** Events after this revision; it may lie in the future. */
  readonly afterRevision: number;
  /** Evaluated once per event and watcher, for old and new version. */
  readonly matches?: (object: T) => boolean;
}

/** Values under which an object can be found, such as `(pod) => [pod.spec.nodeName]`. */
export type IndexFunction = (object: KubeObject) => readonly string[];

/** By "resource.group" ("pods", "deployments.apps"), then by the index's name. */
export type IndexFunctions = Readonly<Record<string, Readonly<Record<string, IndexFunction>>>>;

/**
 * One per server, over all that lies under /registry/ (also of resources that come later, as custom ones do). Reads are synchronous and
 * see one revision; after a commit, `await waitUntil(result.revision)` makes them see it.
 */
export interface WatchCache {
  /** Everything up to this revision of the store is visible. */
  readonly revision: number;
  get<T extends KubeObject>(resource: Resource<T>, key: string): CachedItem<T> | undefined;
  list<T extends KubeObject>(resource: Resource<T>, selection?: CacheSelection): CacheList<T>;
  /** For limit and continue: from memory when nothing of the resource changed since, else from the store. ApiError "Expired" when too old. */
  page<T extends KubeObject>(resource: Resource<T>, request: CachePageRequest): Promise<CachePage<T>>;
  /** How many objects there are. */
  count(resource: Resource): number;
  /**
   * Ends when aborted. Throws ApiError "Expired" (410) when `afterRevision` lies before the window of kept events, or when the watcher
   * reads so slowly that its buffer overflows.
   */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    options: CacheWatchOptions<T>,
    signal: AbortSignal,
  ): AsyncIterable<CacheBatch<T>>;
  /** Resolves when `revision` is visible; rejects with the signal's reason. */
  waitUntil(revision: number, signal?: AbortSignal): Promise<void>;
  /** Asks the store for its revision and waits until it is visible: for reads that must see other servers' commits. */
  waitUntilFresh(signal?: AbortSignal): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WatchCacheLimits {
  /** Recent events kept per resource for watchers that resume. */
  readonly windowEventsMax: number;
  readonly windowBytesMin: number;
  readonly windowBytesMax: number;
  /** Events that wait for one watcher. */
  readonly bufferEventsMax: number;
  /** Watchers that have nothing to hear are told progress this often. */
  readonly progressMs: number;
}

export interface WatchCacheOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly indexes?: IndexFunctions;
  readonly limits?: Partial<WatchCacheLimits>;
}
