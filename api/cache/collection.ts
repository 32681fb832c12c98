// All objects of one resource in the cache: ordered, indexed, with the window of their recent events and their watchers.
import { CollectionWatcher, type WatcherFilter } from "./collection-watcher.ts";
import { EventWindow } from "./event-window.ts";
import { type Item, ItemEvent } from "./item.ts";
import type { CacheSelection, IndexFunction, WatchCacheLimits } from "./watch-cache.ts";

export interface CollectionOptions {
  readonly limits: WatchCacheLimits;
  readonly indexes: Readonly<Record<string, IndexFunction>>;
  /** Events up to here are unknown to it. */
  readonly startRevision: number;
  /** Up to which revision events have been applied. */
  readonly appliedRevision: () => number;
}

interface Index {
  readonly name: string;
  readonly valuesOf: IndexFunction;
  readonly keys: Map<string, Set<string>>;
}

export class Collection {
  readonly window: EventWindow;
  readonly #options: CollectionOptions;
  readonly #items = new Map<string, Item>();
  /** By namespace ("" for cluster-wide objects); each ordered by key. */
  readonly #ordered = new Map<string, Item[]>();
  readonly #indexes: readonly Index[];
  /** By what they select: "", "namespace/x" or "index/name/value". */
  readonly #watchers = new Map<string, Set<CollectionWatcher>>();
  /** The newest change of any of its objects. */
  #changedRevision = 0;
  /** Of all its objects. */
  #bytes = 0;

  constructor(options: CollectionOptions) {
    this.#options = options;
    this.window = new EventWindow(options.limits, options.startRevision);
    this.#indexes = Object.entries(options.indexes).map(([name, valuesOf]) => ({ name, valuesOf, keys: new Map() }));
  }

  get size(): number {
    return this.#items.size;
  }

  get changedRevision(): number {
    return this.#changedRevision;
  }

  get(key: string): Item | undefined {
    return this.#items.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#items.keys();
  }

  list(selection: CacheSelection): readonly Item[] {
    if (selection.index !== undefined) return this.#indexed(selection.index.name, selection.index.value);
    if (selection.namespace !== undefined) return this.#ordered.get(selection.namespace)?.slice() ?? [];
    // As keys are ordered: "a-b/x" comes before "a/x".
    const namespaces = [...this.#ordered.keys()].sort((a, b) => (`${a}/` < `${b}/` ? -1 : 1));
    return namespaces.length === 1
      ? this.list({ namespace: namespaces[0] ?? "" })
      : namespaces.flatMap((n) => this.#ordered.get(n) ?? []);
  }

  /** Takes over an object as it is from this revision on; `undefined` when it is gone. */
  apply(key: string, item: Item | undefined, revision: number): void {
    const previous = this.#items.get(key);
    if (item === undefined && previous === undefined) return;
    this.#changedRevision = revision;
    if (item !== undefined) this.#place(item, previous);
    else if (previous !== undefined) this.#remove(previous);
    this.#reindex(key, previous, item);
    const event =
      item === undefined && previous !== undefined
        ? new ItemEvent("DELETED", previous.deletedAt(revision), previous)
        : item !== undefined && new ItemEvent(previous === undefined ? "ADDED" : "MODIFIED", item, previous);
    if (event === false) return;
    this.window.add(event, this.#bytes);
    this.#route(event);
  }

  /** An object came with the first list, not as an event. */
  load(item: Item): void {
    this.#changedRevision = Math.max(this.#changedRevision, item.revision);
    this.#place(item, this.#items.get(item.key));
    this.#reindex(item.key, undefined, item);
  }

  /** Ends with Expired when `afterRevision` is older than the window. */
  watch(filter: WatcherFilter, afterRevision: number): CollectionWatcher {
    const watcher = new CollectionWatcher(filter, {
      afterRevision,
      bufferEventsMax: this.#options.limits.bufferEventsMax,
      offeredRevision: this.#options.appliedRevision,
    });
    for (const event of this.window.after(afterRevision)) {
      if (this.#selects(filter, event)) watcher.offer(event);
    }
    const route = routeOf(filter);
    const watchers = this.#watchers.get(route) ?? new Set();
    this.#watchers.set(route, watchers.add(watcher));
    return watcher;
  }

  unwatch(watcher: CollectionWatcher): void {
    const route = routeOf(watcher.filter);
    const watchers = this.#watchers.get(route);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(route);
  }

  *watchers(): Generator<CollectionWatcher> {
    for (const watchers of this.#watchers.values()) yield* watchers;
  }

  // Costs by the watchers that select the object, not by all.
  #route(event: ItemEvent): void {
    if (this.#watchers.size === 0) return;
    offer(this.#watchers.get(""), event);
    offer(this.#watchers.get(`namespace/${namespaceOf(event.item.key)}`), event);
    for (const { name, valuesOf } of this.#indexes) {
      const values = new Set([
        ...valuesOf(event.item.object),
        ...(event.previous === undefined ? [] : valuesOf(event.previous.object)),
      ]);
      for (const value of values) offer(this.#watchers.get(`index/${name}/${value}`), event);
    }
  }

  #selects(filter: WatcherFilter, event: ItemEvent): boolean {
    if (filter.namespace !== undefined) return namespaceOf(event.item.key) === filter.namespace;
    if (filter.index === undefined) return true;
    const { value, valuesOf } = filter.index;
    return (
      valuesOf(event.item.object).includes(value) ||
      (event.previous !== undefined && valuesOf(event.previous.object).includes(value))
    );
  }

  /** The index's function; a name that was not declared is a bug of the caller. */
  indexFunction(name: string): IndexFunction {
    return this.#index(name).valuesOf;
  }

  #index(name: string): Index {
    const index = this.#indexes.find((candidate) => candidate.name === name);
    if (index === undefined) throw new Error(`bug: no index ${name}`);
    return index;
  }

  #indexed(name: string, value: string): readonly Item[] {
    const keys = this.#index(name).keys.get(value);
    if (keys === undefined) return [];
    return [...keys].sort().flatMap((key) => this.#items.get(key) ?? []);
  }

  #place(item: Item, previous: Item | undefined): void {
    this.#items.set(item.key, item);
    this.#bytes += item.bytes - (previous?.bytes ?? 0);
    const namespace = namespaceOf(item.key);
    const ordered = this.#ordered.get(namespace) ?? [];
    if (ordered.length === 0) this.#ordered.set(namespace, ordered);
    ordered.splice(position(ordered, item.key), previous === undefined ? 0 : 1, item);
  }

  #remove({ key, bytes }: Item): void {
    this.#items.delete(key);
    this.#bytes -= bytes;
    const namespace = namespaceOf(key);
    const ordered = this.#ordered.get(namespace);
    ordered?.splice(position(ordered, key), 1);
    if (ordered?.length === 0) this.#ordered.delete(namespace);
  }

  #reindex(key: string, previous: Item | undefined, item: Item | undefined): void {
    for (const { valuesOf, keys } of this.#indexes) {
      const before = previous === undefined ? [] : valuesOf(previous.object);
      const after = item === undefined ? [] : valuesOf(item.object);
      for (const value of before) {
        if (after.includes(value)) continue;
        keys.get(value)?.delete(key);
        if (keys.get(value)?.size === 0) keys.delete(value);
      }
      for (const value of after) {
        const found = keys.get(value);
        if (found === undefined) keys.set(value, new Set([key]));
        else found.add(key);
      }
    }
  }
}

/** Index of the first item whose key is not below `key`. */
export function position(items: readonly { readonly key: string }[], key: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle]?.key ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function offer(watchers: ReadonlySet<CollectionWatcher> | undefined, event: ItemEvent): void {
  if (watchers === undefined) return;
  for (const watcher of watchers) watcher.offer(event);
}

function routeOf({ namespace, index }: WatcherFilter): string {
  if (namespace !== undefined) return `namespace/${namespace}`;
  return index === undefined ? "" : `index/${index.name}/${index.value}`;
}

function namespaceOf(key: string): string {
  const end = key.indexOf("/");
  return end === -1 ? "" : key.slice(0, end);
}
