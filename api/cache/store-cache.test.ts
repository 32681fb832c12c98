import assert from "node:assert/strict";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { pods } from "../kinds/generated/resources.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { isReason } from "../kinds/status.ts";
import { storeKey } from "../store/keys.ts";
import { MemoryStore } from "../store/memory.ts";
import { openWatchCache } from "./store-cache.ts";
import type { CacheBatch, WatchCacheLimits } from "./watch-cache.ts";

async function setUp(limits: Partial<WatchCacheLimits> = {}) {
  const store = new MemoryStore({ clock: realClock });
  const options = {
    clock: realClock,
    random: seededRandom(1),
    log: silentLogger,
    limits,
    indexes: { pods: { node: (pod: Pod) => (pod.spec?.nodeName === undefined ? [] : [pod.spec.nodeName]) } },
  };
  const open = () => openWatchCache(store, options as Parameters<typeof openWatchCache>[1]);
  const cache = await open();
  const put = async (key: string, node?: string, labels: Record<string, string> = {}) => {
    const [namespace = "", name = ""] = key.split("/");
    const pod = { metadata: { namespace, name, labels }, spec: { containers: [], ...(node && { nodeName: node }) } };
    const value = Buffer.from(JSON.stringify(pod));
    const result = await store.commit({ compares: [], operations: [{ type: "put", key: storeKey(pods, key), value }] });
    await cache.waitUntil(result.revision);
    return result.revision;
  };
  const remove = async (key: string) => {
    const result = await store.commit({ compares: [], operations: [{ type: "delete", key: storeKey(pods, key) }] });
    await cache.waitUntil(result.revision);
    return result.revision;
  };
  const close = async () => {
    await cache[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  };
  return { store, cache, open, put, remove, [Symbol.asyncDispose]: close };
}

function words(batches: readonly CacheBatch<Pod>[]): string[] {
  return batches.flatMap((batch) => batch.events.map((event) => `${event.type} ${event.item.key}`));
}

async function read(iterable: AsyncIterable<CacheBatch<Pod>>, events: number): Promise<CacheBatch<Pod>[]> {
  const batches: CacheBatch<Pod>[] = [];
  for await (const batch of iterable) {
    batches.push(batch);
    if (words(batches).length >= events) break;
  }
  return batches;
}

const forever = new AbortController().signal;

test("WatchCache.list is ordered as the store, by namespace and by index", async () => {
  await using set = await setUp();
  for (const key of ["b/x", "a/y", "a-b/z", "a/x"]) await set.put(key, key.startsWith("a/") ? "node-1" : undefined);
  const last = await set.remove("b/x");
  const keys = (selection?: object) => set.cache.list(pods, selection).items.map((item) => item.key);
  assert.deepEqual(
    [keys(), keys({ namespace: "a" }), keys({ index: { name: "node", value: "node-1" } }), keys({ namespace: "b" })],
    [["a-b/z", "a/x", "a/y"], ["a/x", "a/y"], ["a/x", "a/y"], []],
  );
  await set.put("a/x", "node-2");
  assert.deepEqual(keys({ index: { name: "node", value: "node-1" } }), ["a/y"]);
  assert.equal(set.cache.revision, last + 1);
  await using again = await set.open();
  assert.deepEqual(again.list(pods), set.cache.list(pods));
});

test("WatchCache.get tells resourceVersion and encodes once", async () => {
  await using set = await setUp();
  const revision = await set.put("a/x");
  const item = set.cache.get(pods, "a/x");
  assert.equal(item?.object.metadata?.resourceVersion, `${revision}`);
  assert.deepEqual(JSON.parse(`${item?.json}`), item?.object);
  assert.equal(item?.json, item?.json);
});

test("WatchCache.watch resumes within the window and follows", async () => {
  await using set = await setUp();
  const first = await set.put("a/x");
  await set.put("b/x");
  const watching = read(set.cache.watch(pods, { afterRevision: first, namespace: "b" }, forever), 3);
  await set.put("a/x");
  await set.put("b/x");
  const last = await set.remove("b/x");
  const batches = await watching;
  assert.deepEqual(words(batches), ["ADDED b/x", "MODIFIED b/x", "DELETED b/x"]);
  const event = batches.at(-1)?.events.at(-1);
  assert.deepEqual(JSON.parse(`${event?.frame}`), { type: "DELETED", object: event?.item.object });
  assert.equal(event?.item.object.metadata?.resourceVersion, `${last}`);
});

test("WatchCache.watch shows objects that enter and leave the filter as added and deleted", async () => {
  await using set = await setUp();
  const start = set.cache.revision;
  const matches = (pod: Pod) => pod.metadata?.labels?.["app"] === "web";
  const byLabel = read(set.cache.watch(pods, { afterRevision: start, matches }, forever), 3);
  const byNode = read(
    set.cache.watch(pods, { afterRevision: start, index: { name: "node", value: "n1" } }, forever),
    3,
  );
  await set.put("a/x", undefined, {});
  await set.put("a/x", "n1", { app: "web" });
  await set.put("a/x", "n1", { app: "web", more: "1" });
  await set.put("a/x", "n2", {});
  assert.deepEqual(words(await byLabel), ["ADDED a/x", "MODIFIED a/x", "DELETED a/x"]);
  assert.deepEqual(words(await byNode), ["ADDED a/x", "MODIFIED a/x", "DELETED a/x"]);
});

test("WatchCache.watch refuses what is older than its window", async () => {
  await using set = await setUp({ windowEventsMax: 2 });
  const first = await set.put("a/1");
  const second = await set.put("a/2");
  await set.put("a/3");
  await set.put("a/4");
  await assert.rejects(read(set.cache.watch(pods, { afterRevision: first }, forever), 1), (error) =>
    isReason(error, "Expired"),
  );
  assert.deepEqual(words(await read(set.cache.watch(pods, { afterRevision: second }, forever), 2)), [
    "ADDED a/3",
    "ADDED a/4",
  ]);
});

test("WatchCache.watch ends a reader that is too slow", async () => {
  await using set = await setUp({ bufferEventsMax: 2 });
  const iterator = set.cache.watch(pods, { afterRevision: set.cache.revision }, forever)[Symbol.asyncIterator]();
  const first = iterator.next();
  await set.put("a/1");
  assert.equal((await first).done, false);
  for (const key of ["a/2", "a/3", "a/4"]) await set.put(key);
  await assert.rejects(iterator.next(), (error) => isReason(error, "Expired"));
});

test("WatchCache.watch tells progress to a watcher without events", async () => {
  await using set = await setUp({ progressMs: 1 });
  const iterator = set.cache
    .watch(pods, { afterRevision: set.cache.revision, namespace: "quiet" }, forever)
    [Symbol.asyncIterator]();
  const next = iterator.next();
  const revision = await set.put("a/1");
  assert.deepEqual(await next, { done: false, value: { revision, events: [] } });
  await iterator.return?.();
});

test("WatchCache.watch ends when its signal is aborted", async () => {
  await using set = await setUp();
  const aborter = new AbortController();
  const reading = read(set.cache.watch(pods, { afterRevision: set.cache.revision }, aborter.signal), 1);
  aborter.abort();
  assert.deepEqual(await reading, []);
});

test("WatchCache.page continues at its revision", async () => {
  await using set = await setUp();
  for (const key of ["a/1", "a/2", "a/3", "b/1"]) await set.put(key);
  const keys = (page: { items: readonly { key: string }[] }) => page.items.map((item) => item.key);
  const first = await set.cache.page(pods, { limit: 2 });
  assert.deepEqual([keys(first), first.more, first.remaining], [["a/1", "a/2"], true, 2]);
  const { revision } = first;
  assert.deepEqual(keys(await set.cache.page(pods, { limit: 9, revision, afterKey: "a/2" })), ["a/3", "b/1"]);
  await set.remove("a/3");
  const old = await set.cache.page(pods, { limit: 9, revision, afterKey: "a/2" });
  assert.deepEqual([keys(old), old.revision, old.more], [["a/3", "b/1"], revision, false]);
  await set.store.compact(set.cache.revision);
  await assert.rejects(set.cache.page(pods, { limit: 9, revision, afterKey: "a/2" }), (error) =>
    isReason(error, "Expired"),
  );
});

test("WatchCache.waitUntilFresh sees what others committed", async () => {
  await using set = await setUp();
  await using other = await set.open();
  const revision = await set.put("a/1");
  assert.equal(await other.waitUntilFresh(), revision);
  assert.equal(other.get(pods, "a/1")?.revision, revision);
});

test("WatchCache finds what it missed when the store's history was compacted under it", async () => {
  await using set = await setUp();
  await set.put("a/gone");
  await set.put("a/old");
  const kept = await set.put("a/kept");
  // The watch hangs, history goes on and is forgotten, then the watch breaks.
  const hang = Promise.withResolvers<void>();
  let watches = 0;
  const store = Object.assign(Object.create(set.store) as MemoryStore, {
    range: set.store.range.bind(set.store),
    watch: async function* (...options: Parameters<MemoryStore["watch"]>) {
      if (++watches === 1) {
        await hang.promise;
        return;
      }
      yield* set.store.watch(...options);
    },
  });
  const options = { clock: realClock, random: seededRandom(1), log: silentLogger };
  await using cache = await openWatchCache(store, options);
  const watching = read(cache.watch(pods, { afterRevision: cache.revision }, forever), 3);
  await set.remove("a/gone");
  await set.put("a/old", "node-1");
  const last = await set.put("a/new");
  await set.store.compact(last);
  hang.resolve();
  await cache.waitUntil(last);
  assert.deepEqual(words(await watching).sort(), ["ADDED a/new", "DELETED a/gone", "MODIFIED a/old"]);
  assert.deepEqual(cache.list(pods), set.cache.list(pods));
  // Nobody can resume from before: the events in between were never seen.
  await assert.rejects(read(cache.watch(pods, { afterRevision: kept }, forever), 1), (error) =>
    isReason(error, "Expired"),
  );
  const next = await set.put("a/next");
  await cache.waitUntil(next);
});
