// Runs against a real etcd server, which some of the tests kill.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { type EtcdServer, startEtcd } from "../../test/etcd-server.ts";
import { bytes, collect, put, storeContract } from "./contract.ts";
import { openEtcdStore } from "./etcd.ts";
import { StoreUnavailableError } from "./store.ts";

let server: EtcdServer;
let tests = 0;

before(async () => {
  server = await startEtcd();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

const open = () =>
  openEtcdStore({ hosts: [server.host], clock: realClock, random: seededRandom(1), log: silentLogger });

storeContract("openEtcdStore", async () => {
  const store = await open();
  return { store, prefix: `/contract-${++tests}/`, close: () => store[Symbol.asyncDispose]() };
});

test("openEtcdStore: watch misses and doubles nothing while etcd is killed and restarted", async () => {
  await using store = await open();
  const start = await put(store, "/kill/start", "");
  await using watcher = collect(store, "/kill/", start);
  const known = new Map<string, number>();
  let unknown = 0;
  const write = async (i: number) => {
    try {
      known.set(`/kill/${i}`, await put(store, `/kill/${i}`, `${i}`));
    } catch (error) {
      assert.ok(error instanceof StoreUnavailableError && error.outcomeUnknown);
      unknown++;
    }
  };
  for (let round = 0; round < 3; round++) {
    const writing = Array.from({ length: 200 }, (_, i) => write(round * 1000 + i));
    await writing[50];
    await server.kill();
    await server.restart();
    await Promise.all(writing);
  }
  const last = await put(store, "/kill/end", "");
  await watcher.until((events) => events.at(-1)?.revision === last);
  const seen = new Map(watcher.events.map((event) => [event.key, event.revision]));
  assert.equal(seen.size, watcher.events.length);
  assert.deepEqual(
    [...known].filter(([key, revision]) => seen.get(key) !== revision),
    [],
  );
  assert.ok(seen.size - 1 <= known.size + unknown);
  const revisions = watcher.events.map((event) => event.revision);
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
  );
});

test("openEtcdStore: commit is not repeated when its answer was lost", async () => {
  await using store = await open();
  const key = "/once/a";
  const transaction = {
    compares: [{ key, modRevision: 0 }],
    operations: [{ type: "put", key, value: bytes("1") }],
  } as const;
  const outcome = store.commit(transaction).catch((error) => error);
  await server.kill();
  await server.restart();
  // Either it is known to have happened, or its outcome is said to be unknown; never "conflict" with itself.
  const result = await outcome;
  assert.ok(result.committed === true || (result instanceof StoreUnavailableError && result.outcomeUnknown));
});
