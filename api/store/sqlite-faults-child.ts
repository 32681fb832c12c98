// The process that sqlite-faults.test.ts kills, or lets run into a full disk.
import { rm, writeFile } from "node:fs/promises";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { all, bytes, collect, put } from "./contract.ts";
import { openSqliteStore } from "./sqlite.ts";

const [mode, path = "", argument = ""] = process.argv.slice(2);
const open = () => openSqliteStore({ path, clock: realClock, log: silentLogger, historyRevisionsMax: 1000 });
// Pipes are written at once on Linux, so what was said before a kill arrives.
const say = (line: string) => process.stdout.write(`${line}\n`);

// Many in flight at all times; each is told as soon as it is acknowledged.
async function writeUntilKilled(round: string): Promise<void> {
  const store = await open();
  let count = 0;
  const writer = async () => {
    while (true) {
      const key = `/${round}/${count++}`;
      say(`${key} ${await put(store, key, "x".repeat(count % 500))}`);
    }
  };
  await Promise.all(Array.from({ length: 64 }, writer));
}

async function fillDisk(ballast: string): Promise<void> {
  const store = await open();
  const start = await put(store, "/start", "");
  const watcher = collect(store, "/", start);
  await writeFile(ballast, new Uint8Array(2_000_000));
  let written = 0;
  try {
    while (true) {
      await store.commit({
        compares: [],
        operations: [{ type: "put", key: `/${String(written).padStart(5, "0")}`, value: bytes("x".repeat(20_000)) }],
      });
      written++;
    }
  } catch (error) {
    say(`refused: ${error}`);
  }
  say(`still readable: ${(await all(store, "/")).length === written + 1 ? "same" : "other"}`);
  await rm(ballast);
  const last = await put(store, "/end", "");
  say(`written again: ${last > 0}`);
  await watcher.until((events) => events.at(-1)?.revision === last);
  const present = await all(store, "/");
  const keys = ["/start", ...watcher.events.map((event) => event.key)].sort();
  say(`watch saw what is stored: ${JSON.stringify(keys) === JSON.stringify(present.map(([key]) => key))}`);
  await watcher[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await using again = await open();
  say(`reopened: ${JSON.stringify(await all(again, "/")) === JSON.stringify(present) ? "same" : "other"}`);
}

if (mode === "write") await writeUntilKilled(argument);
else await fillDisk(argument);
