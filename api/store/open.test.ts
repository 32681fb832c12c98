import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { all, put } from "./contract.ts";
import { MemoryStore } from "./memory.ts";
import { migrateStore } from "./migrate.ts";
import { openStore } from "./open.ts";

const options = { clock: realClock, random: seededRandom(1), log: silentLogger };

test("openStore says what is wrong with a URL", async () => {
  const messages: Record<string, RegExp> = {
    "mysql://x": /unknown kind; a store is "sqlite:/,
    "sqlite:": /no path/,
    "etcd://somewhere": /"somewhere" is not host:port/,
    "etcd://a:1?cc=x": /unknown "cc"/,
    "etcd://a:1?username=x": /username needs passwordFile/,
  };
  for (const [url, message] of Object.entries(messages)) await assert.rejects(openStore(url, options), { message });
});

test("openStore refuses a file that is open already or cannot be made", async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  try {
    await using store = await openStore(`sqlite:${folder}/a.db`, options);
    await put(store, "/a", "1");
    await assert.rejects(openStore(`sqlite:${folder}/a.db`, options), /another process has it open/);
    await assert.rejects(openStore(`sqlite:${folder}/missing/a.db`, options), /cannot open the store .*missing/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("openStore finds again what was stored, and goes on from its revision", async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  try {
    const first = await openStore(`sqlite:${folder}/a.db`, options);
    await put(first, "/a", "1");
    const second = await put(first, "/b", "2");
    await first[Symbol.asyncDispose]();
    await using again = await openStore(`sqlite:${folder}/a.db`, options);
    assert.deepEqual(
      (await all(again, "/")).map(([key, value]) => [key, value]),
      [
        ["/a", "1"],
        ["/b", "2"],
      ],
    );
    assert.equal(await put(again, "/a", "3"), second + 1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("migrateStore copies all objects into an empty store", async () => {
  await using from = new MemoryStore(options);
  await using to = new MemoryStore(options);
  for (let i = 0; i < 1234; i++) await put(from, `/registry/core/pods/a/${i}`, `${i}`);
  const copied = await migrateStore({ from, to });
  const objects = async (store: MemoryStore) => (await all(store, "/")).map(([key, value]) => [key, value]);
  assert.equal(copied, 1234);
  assert.deepEqual(await objects(to), await objects(from));
  await assert.rejects(migrateStore({ from, to }), /holds objects already/);
});
