// What every store must do; each implementation's test runs this suite on it.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CompactedError,
  type KeyValue,
  LeaseEndedError,
  type Operation,
  operationsMax,
  type Store,
  type StoreEvent,
  TooLargeError,
  valueBytesMax,
  type WatchBatch,
} from "./store.ts";

export interface StoreUnderTest {
  readonly store: Store;
  /** Keys of this test start with it. */
  readonly prefix: string;
  close(): Promise<void>;
}

export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  const check = (title: string, run: (store: Store, prefix: string) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const under = await open();
      try {
        await run(under.store, under.prefix);
      } finally {
        await under.close();
      }
    });

  check("commit puts, overwrites and deletes under growing revisions", async (store, prefix) => {
    const first = await put(store, `${prefix}a`, "1");
    const second = await put(store, `${prefix}a`, "2");
    assert.ok(second > first);
    assert.deepEqual(await all(store, prefix), [[`${prefix}a`, "2", first, second]]);
    const third = await commit(store, [{ type: "delete", key: `${prefix}a` }]);
    assert.ok(third > second);
    assert.deepEqual(await all(store, prefix), []);
    const fourth = await put(store, `${prefix}a`, "3");
    assert.deepEqual(await all(store, prefix), [[`${prefix}a`, "3", fourth, fourth]]);
  });

  check("commit makes no revision when nothing changes", async (store, prefix) => {
    const revision = await put(store, `${prefix}a`, "1");
    assert.equal(await commit(store, [{ type: "delete", key: `${prefix}b` }]), revision);
    assert.equal(await commit(store, []), revision);
  });

  check("commit refuses when a compare fails and tells the present state", async (store, prefix) => {
    const key = `${prefix}a`;
    const made = await put(store, key, "1");
    const operations: Operation[] = [
      { type: "put", key, value: bytes("2") },
      { type: "put", key: `${prefix}b`, value: bytes("2") },
    ];
    const late = await store.commit({ compares: [{ key, modRevision: 0 }], operations });
    assert.deepEqual(late, {
      committed: false,
      revision: made,
      conflict: { key, present: { key, value: bytes("1"), createRevision: made, modRevision: made } },
    });
    const absent = await store.commit({
      compares: [
        { key, modRevision: made },
        { key: `${prefix}b`, modRevision: made },
      ],
      operations,
    });
    assert.deepEqual(absent, {
      committed: false,
      revision: made,
      conflict: { key: `${prefix}b`, present: undefined },
    });
    const right = await store.commit({ compares: [{ key, modRevision: made }], operations });
    assert.ok(right.committed);
    assert.deepEqual(
      (await all(store, prefix)).map(([, value, , modRevision]) => [value, modRevision]),
      [
        ["2", right.revision],
        ["2", right.revision],
      ],
    );
  });

  check("commit lets exactly one of many equal compares win", async (store, prefix) => {
    const key = `${prefix}a`;
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        store.commit({
          compares: [{ key, modRevision: 0 }],
          operations: [{ type: "put", key, value: bytes(`${i}`) }],
        }),
      ),
    );
    const winner = results.findIndex((result) => result.committed);
    assert.equal(results.filter((result) => result.committed).length, 1);
    assert.deepEqual(
      (await all(store, prefix)).map(([, value]) => value),
      [`${winner}`],
    );
  });

  check("commit refuses what is too large", async (store, prefix) => {
    const many = Array.from(
      { length: operationsMax + 1 },
      (_, i): Operation => ({ type: "delete", key: `${prefix}${i}` }),
    );
    await assert.rejects(store.commit({ compares: [], operations: many }), TooLargeError);
    const value = new Uint8Array(valueBytesMax + 1);
    await assert.rejects(
      store.commit({ compares: [], operations: [{ type: "put", key: `${prefix}a`, value }] }),
      TooLargeError,
    );
    const largest = value.subarray(1);
    await store.commit({ compares: [], operations: [{ type: "put", key: `${prefix}a`, value: largest }] });
    assert.equal((await store.range({ start: prefix, end: `${prefix}~` })).items[0]?.value.length, valueBytesMax);
  });

  check("range is ordered, half open and limited", async (store, prefix) => {
    for (const key of ["c", "a", "b/x", "b", "d"]) await put(store, prefix + key, key);
    const whole = await store.range({ start: `${prefix}a`, end: `${prefix}d` });
    assert.deepEqual([whole.items.map(text), whole.more], [["a", "b", "b/x", "c"], false]);
    const page = await store.range({ start: `${prefix}a`, end: `${prefix}d`, limit: 3 });
    assert.deepEqual([page.items.map(text), page.more], [["a", "b", "b/x"], true]);
    const exact = await store.range({ start: `${prefix}a`, end: `${prefix}d`, limit: 4 });
    assert.equal(exact.more, false);
  });

  check("range at a revision sees the past until it is compacted", async (store, prefix) => {
    const first = await put(store, `${prefix}a`, "1");
    const second = await commit(store, [
      { type: "put", key: `${prefix}a`, value: bytes("2") },
      { type: "put", key: `${prefix}b`, value: bytes("2") },
    ]);
    const third = await commit(store, [{ type: "delete", key: `${prefix}a` }]);
    await put(store, `${prefix}c`, "4");
    const at = async (revision: number) => {
      const range = await store.range({ start: prefix, end: `${prefix}~`, revision });
      assert.equal(range.revision, revision);
      return range.items.map(text);
    };
    assert.deepEqual([await at(first), await at(second), await at(third)], [["1"], ["2", "2"], ["2"]]);
    await store.compact(second);
    await assert.rejects(at(first), CompactedError);
    assert.deepEqual([await at(second), await at(third)], [["2", "2"], ["2"]]);
    await store.compact(second);
    assert.deepEqual(
      (await all(store, prefix)).map(([key]) => key),
      [`${prefix}b`, `${prefix}c`],
    );
  });

  check("watch tells every event after a revision once and in order", async (store, prefix) => {
    const first = await put(store, `${prefix}a`, "1");
    await put(store, `${prefix}a`, "2");
    await put(store, `${prefix.slice(0, -1)}-other`, "not ours");
    await using watcher = collect(store, prefix, first);
    await watcher.until((events) => events.length === 1);
    await commit(store, [
      { type: "put", key: `${prefix}b`, value: bytes("3") },
      { type: "delete", key: `${prefix}a` },
    ]);
    const last = await put(store, `${prefix}b`, "4");
    await watcher.until((events) => events.at(-1)?.revision === last);
    assert.deepEqual(watcher.events.map(words), ["put a 2", "put b 3", "delete a", "put b 4"]);
    assert.deepEqual(watcher.events.map((event) => event.revision).slice(2), [last - 1, last]);
  });

  check("watch starts in the future when asked to", async (store, prefix) => {
    const now = await put(store, `${prefix}a`, "1");
    await using watcher = collect(store, prefix, now + 1);
    await put(store, `${prefix}a`, "2");
    const last = await put(store, `${prefix}a`, "3");
    await watcher.until((events) => events.length > 0);
    assert.deepEqual(watcher.events.map(words), ["put a 3"]);
    assert.equal(watcher.revision(), last);
  });

  check("watch fails when its start is compacted", async (store, prefix) => {
    const first = await put(store, `${prefix}a`, "1");
    await put(store, `${prefix}a`, "2");
    const third = await put(store, `${prefix}a`, "3");
    await store.compact(third);
    const read = async (after: number) => {
      for await (const _ of store.watch(prefix, after, new AbortController().signal)) return;
    };
    await assert.rejects(read(first), CompactedError);
    await using watcher = collect(store, prefix, third);
    await put(store, `${prefix}a`, "4");
    await watcher.until((events) => events.length === 1);
  });

  check("watch keeps up a slow reader with a burst of commits", async (store, prefix) => {
    const start = await put(store, `${prefix}a`, "start");
    const aborter = new AbortController();
    const seen: string[] = [];
    const iterator = store.watch(prefix, start, aborter.signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    const count = 6000;
    for (let i = 0; i < count; i += 1000) {
      await Promise.all(Array.from({ length: 1000 }, (_, j) => put(store, `${prefix}k`, `${i + j}`)));
    }
    let next = await first;
    while (true) {
      assert.ok(next.done !== true);
      seen.push(...next.value.events.map(words));
      if (seen.length >= count) break;
      next = await iterator.next();
    }
    aborter.abort();
    assert.deepEqual(seen.sort(), Array.from({ length: count }, (_, i) => `put k ${i}`).sort());
  });

  check("lease deletes its keys when it ends, unless a later put detached them", async (store, prefix) => {
    const lease = await store.grantLease(1000);
    const revoked = await store.grantLease(3_600_000);
    const start = await put(store, `${prefix}c`, "free");
    const attach = (key: string, to: string): Operation => ({
      type: "put",
      key: prefix + key,
      value: bytes(key),
      lease: to,
    });
    await commit(store, [attach("a", lease), attach("b", lease), attach("c", revoked), attach("d", revoked)]);
    await put(store, `${prefix}b`, "free");
    assert.equal(await store.renewLease(lease), true);
    await store.revokeLease(revoked);
    assert.equal(await store.renewLease(revoked), false);
    await assert.rejects(commit(store, [attach("e", revoked)]), LeaseEndedError);
    assert.deepEqual(
      (await all(store, prefix)).map(([key]) => key.slice(prefix.length)),
      ["a", "b"],
    );
    await using watcher = collect(store, prefix, start);
    await watcher.until((events) => events.some((event) => event.type === "delete" && event.key === `${prefix}a`));
    assert.deepEqual(
      (await all(store, prefix)).map(([key]) => key.slice(prefix.length)),
      ["b"],
    );
    assert.equal(await store.renewLease(lease), false);
  });
}

export function bytes(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value));
}

export async function commit(store: Store, operations: readonly Operation[]): Promise<number> {
  const result = await store.commit({ compares: [], operations });
  assert.ok(result.committed);
  return result.revision;
}

export function put(store: Store, key: string, value: string): Promise<number> {
  return commit(store, [{ type: "put", key, value: bytes(value) }]);
}

export async function all(store: Store, prefix: string): Promise<[string, string, number, number][]> {
  const { items } = await store.range({ start: prefix, end: `${prefix}~` });
  return items.map((item) => [item.key, text(item), item.createRevision, item.modRevision]);
}

export function words(event: StoreEvent): string {
  const key = event.key.slice(event.key.lastIndexOf("/") + 1);
  return event.type === "put" ? `put ${key} ${text(event.item)}` : `delete ${key}`;
}

function text(item: KeyValue): string {
  return Buffer.from(item.value).toString();
}

/** Reads a watch in the background. */
export function collect(store: Store, prefix: string, afterRevision: number) {
  const aborter = new AbortController();
  const batches: WatchBatch[] = [];
  const events: StoreEvent[] = [];
  let changed = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const batch of store.watch(prefix, afterRevision, aborter.signal)) {
      batches.push(batch);
      events.push(...batch.events);
      changed.resolve();
      changed = Promise.withResolvers();
    }
  })();
  reading.catch((error) => changed.reject(error));
  return {
    events,
    revision: () => batches.at(-1)?.revision,
    until: async (holds: (events: readonly StoreEvent[]) => boolean) => {
      while (!holds(events)) await changed.promise;
    },
    [Symbol.asyncDispose]: async () => {
      aborter.abort();
      await reading;
    },
  };
}
