// A local copy of one resource, kept true by list and watch. Loops read it instead of asking the API.
import { type KubeObject, keyOf, type Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import { backoffMs } from "../lib/backoff.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Client, ListOptions } from "./client.ts";

export interface InformerOptions<T extends KubeObject> {
  readonly client: Client;
  readonly resource: Resource<T>;
  readonly selection?: Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector">;
  /** Named groupings: each gives the values under which an object is found by `byIndex`. */
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Told of each key whose object appeared, changed or vanished. Levels, not edges: read the informer for what is. */
export type OnChange<T> = (key: string, object: T | undefined, previous: T | undefined) => void;

export interface Informer<T extends KubeObject> {
  get(key: string): T | undefined;
  list(): Iterable<T>;
  byIndex(index: string, value: string): readonly T[];
  readonly size: number;
  /** Called for every object that is known already, then for every change. */
  onChange(handler: OnChange<T>): void;
  /** True after the first full list. */
  readonly synced: boolean;
  readonly whenSynced: Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const retryLimits = { firstMs: 50, maxMs: 5_000 };

export function startInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const { client, resource, clock, random, log } = options;
  const objects = new Map<string, T>();
  const handlers: OnChange<T>[] = [];
  const indexed = Object.entries(options.indexes ?? {}).map(([name, valuesOf]) => ({
    name,
    valuesOf,
    keys: new Map<string, Set<string>>(),
  }));
  const stop = new AbortController();
  const synced = Promise.withResolvers<void>();
  let isSynced = false;

  const set = (key: string, next: T | undefined) => {
    const previous = objects.get(key);
    if (next === undefined && previous === undefined) return;
    if (
      next !== undefined &&
      previous?.metadata?.resourceVersion === next.metadata?.resourceVersion &&
      previous !== undefined
    )
      return;
    if (next === undefined) objects.delete(key);
    else objects.set(key, next);
    for (const index of indexed) {
      for (const value of previous === undefined ? [] : index.valuesOf(previous)) {
        const keys = index.keys.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index.keys.delete(value);
      }
      for (const value of next === undefined ? [] : index.valuesOf(next)) {
        const keys = index.keys.get(value) ?? new Set<string>();
        keys.add(key);
        index.keys.set(value, keys);
      }
    }
    for (const handler of handlers) tell(handler, key, { next, previous });
  };
  // One handler's bug must not keep the others from hearing, nor break the watch.
  const tell = (handler: OnChange<T>, key: string, change: { next: T | undefined; previous: T | undefined }) => {
    try {
      handler(key, change.next, change.previous);
    } catch (error) {
      log.error({ resource: resource.resource, key, error }, "informer's handler failed");
    }
  };

  const listAll = async (): Promise<string> => {
    const { items, resourceVersion } = await client.list(resource, options.selection, stop.signal);
    const present = new Set<string>();
    for (const item of items) {
      const key = keyOf(item);
      present.add(key);
      set(key, item);
    }
    for (const key of [...objects.keys()]) if (!present.has(key)) set(key, undefined);
    isSynced = true;
    synced.resolve();
    return resourceVersion;
  };

  const follow = async (): Promise<void> => {
    let version: string | undefined;
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        version ??= await listAll();
        for await (const event of client.watch(
          resource,
          { ...options.selection, resourceVersion: version },
          stop.signal,
        )) {
          failures = 0;
          if (event.type === "BOOKMARK") {
            version = event.resourceVersion;
            continue;
          }
          version = event.object.metadata?.resourceVersion ?? version;
          set(keyOf(event.object), event.type === "DELETED" ? undefined : event.object);
        }
        failures++;
      } catch (error) {
        if (stop.signal.aborted) return;
        // The history after our version is gone: take the whole again, at once unless that happens again and again.
        if (isReason(error, "Expired", "Gone")) version = undefined;
        failures++;
        log.debug({ resource: resource.resource, error }, "watch broke");
      }
      if (version !== undefined || failures > 1) {
        await sleep(clock, backoffMs(retryLimits, failures - 1, random), stop.signal).catch(() => {});
      }
    }
  };
  const following = follow();

  return {
    get: (key) => objects.get(key),
    list: () => objects.values(),
    byIndex: (name, value) => {
      const keys = indexed.find((index) => index.name === name)?.keys.get(value) ?? [];
      return [...keys].map((key) => objects.get(key)).filter((object) => object !== undefined);
    },
    get size() {
      return objects.size;
    },
    onChange: (handler) => {
      handlers.push(handler);
      for (const [key, object] of objects) tell(handler, key, { next: object, previous: undefined });
    },
    get synced() {
      return isSynced;
    },
    whenSynced: synced.promise,
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error("informer closed"));
      await following;
    },
  };
}
