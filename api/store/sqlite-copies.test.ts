import assert from "node:assert/strict";
import { copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { openSqliteStore } from "./sqlite.ts";
import { checkCopy, restoreCopy } from "./sqlite-restore.ts";
import { CompactedError, type Store } from "./store.ts";

const bytes = (count: number) => new Uint8Array(count).fill(7);
const put = (store: Store, key: string, value: Uint8Array) =>
  store.commit({ compares: [], operations: [{ type: "put", key, value }] });
// So little history that cleaning up never rests.
const open = (path: string) => openSqliteStore({ path, clock: realClock, log: silentLogger, historyRevisionsMax: 10 });
const keysOf = async (store: Store) =>
  (await store.range({ start: "/", end: "0" })).items.map(({ key, value }) => [key, value.length] as const);

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "naru-copies-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("backup copies all that was acknowledged before it while writes go on, and leaves no file behind", () =>
  inFolder(async (folder) => {
    const path = join(folder, "store.db");
    await using store = await open(path);
    for (let i = 0; i < 20; i++) await put(store, `/before/${i}`, bytes(400_000));
    for (let i = 0; i < 100; i++) await put(store, `/deleted/${i}`, bytes(100_000));
    for (let i = 0; i < 100; i++)
      await store.commit({ compares: [], operations: [{ type: "delete", key: `/deleted/${i}` }] });
    let stop = false;
    let written = 0;
    const writing = (async () => {
      while (!stop) {
        await put(store, "/gone", bytes(1000));
        await store.commit({ compares: [], operations: [{ type: "delete", key: "/gone" }] });
        await put(store, `/while/${written++}`, bytes(1000));
      }
    })();
    assert.ok(store.backup !== undefined);
    {
      await using copy = await store.backup();
      await copyFile(copy.path, join(folder, "kept.db"));
    }
    const during = written;
    stop = true;
    await writing;
    assert.ok(during > 1, `${during} writes were acknowledged meanwhile`);
    const before = await keysOf(store);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes("copy")),
      [],
    );
    const restored = join(folder, "restored.db");
    await restoreCopy(join(folder, "kept.db"), restored);
    await using again = await open(restored);
    const keys = await keysOf(again);
    assert.equal(keys.filter(([key]) => key.startsWith("/before/")).length, 20);
    assert.deepEqual(
      keys.filter(([key]) => key.startsWith("/deleted/")),
      [],
    );
    // Whole writes, and the first so many of them.
    const later = keys.filter(([key]) => key.startsWith("/while/"));
    assert.deepEqual(
      later.toSorted(),
      before.filter(([key]) => key.startsWith("/while/") && Number(key.slice(7)) < later.length).toSorted(),
    );
  }));

test("restoreCopy makes a store whose revisions are beyond those that anybody saw, and whose older history is gone", () =>
  inFolder(async (folder) => {
    const path = join(folder, "store.db");
    const kept = join(folder, "kept.db");
    const seen = await (async () => {
      await using store = await open(path);
      await put(store, "/a", bytes(1));
      await using copy = (await store.backup?.()) ?? assert.fail("no backup");
      await copyFile(copy.path, kept);
      for (let i = 0; i < 50; i++) await put(store, "/a", bytes(2));
      return (await put(store, "/b", bytes(1))).revision;
    })();
    const restored = join(folder, "restored.db");
    assert.equal((await restoreCopy(kept, restored)).objects, 1);
    await using store = await open(restored);
    assert.deepEqual(await keysOf(store), [["/a", 1]]);
    await assert.rejects(async () => {
      for await (const _ of store.watch("/", seen, AbortSignal.timeout(5000))) assert.fail("old history was given");
    }, CompactedError);
    assert.ok((await put(store, "/c", bytes(1))).revision > seen);
  }));

test("restoreCopy refuses what is no whole copy, and what would overwrite a store", () =>
  inFolder(async (folder) => {
    const path = join(folder, "store.db");
    await using store = await open(path);
    for (let i = 0; i < 100; i++) await put(store, `/${i}`, bytes(1000));
    const kept = join(folder, "kept.db");
    await using copy = (await store.backup?.()) ?? assert.fail("no backup");
    await copyFile(copy.path, kept);
    assert.equal(checkCopy(kept).objects, 100);
    const broken = join(folder, "broken.db");
    await writeFile(broken, "not a database, but long enough to be looked into ".repeat(100));
    await assert.rejects(restoreCopy(broken, join(folder, "new.db")), /is no whole copy of a store/);
    await assert.rejects(restoreCopy(kept, path), /there is a store already/);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith("new.db")),
      [],
    );
  }));

test("openSqliteStore removes copies that a server which was killed left behind", () =>
  inFolder(async (folder) => {
    const path = join(folder, "store.db");
    await writeFile(`${path}.copy-3`, "half");
    await using _store = await open(path);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes("copy")),
      [],
    );
  }));
