// What may happen to the process and the disk below the SQLite store: real kills and a really full file system.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { below, seededRandom } from "../../lib/random.ts";
import { all } from "./contract.ts";
import { openSqliteStore } from "./sqlite.ts";

const child = new URL("./sqlite-faults-child.ts", import.meta.url).pathname;
const rounds = 8;

test("openSqliteStore has everything that was acknowledged before kill -9", async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  const random = seededRandom(1);
  const acknowledged = new Map<string, number>();
  try {
    for (let round = 0; round < rounds; round++) {
      const writer = spawn(process.execPath, [child, "write", join(folder, "a.db"), `${round}`], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const killAfter = 1 + below(random, 4000);
      for await (const line of linesOf(writer)) {
        const [key = "", revision] = line.split(" ");
        acknowledged.set(key, Number(revision));
        if (acknowledged.size >= killAfter * (round + 1)) writer.kill("SIGKILL");
      }
      const store = await openSqliteStore({ path: join(folder, "a.db"), clock: realClock, log: silentLogger });
      const stored = new Map((await all(store, "/")).map(([key, , , modRevision]) => [key, modRevision]));
      await store[Symbol.asyncDispose]();
      assert.deepEqual(
        [...acknowledged].filter(([key, revision]) => stored.get(key) !== revision),
        [],
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

// The child runs in a mount namespace of its own, so that the small file system vanishes with it.
test("openSqliteStore refuses writes on a full disk and takes them again by itself", {
  skip: process.getuid?.() !== 0 && "needs root to mount a small file system",
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  try {
    const script = `mount -t tmpfs -o size=4m none "$1" && exec "$2" "$3" fill "$1/a.db" "$1/ballast"`;
    const full = spawn("unshare", ["--mount", "sh", "-c", script, "sh", folder, process.execPath, child], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines: string[] = [];
    for await (const line of linesOf(full)) lines.push(line);
    assert.deepEqual(lines, [
      "refused: StoreUnavailableError: the disk is full",
      "still readable: same",
      "written again: true",
      "watch saw what is stored: true",
      "reopened: same",
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

async function* linesOf(process: ChildProcess): AsyncGenerator<string> {
  assert.ok(process.stdout);
  const ended = once(process, "exit");
  try {
    yield* createInterface({ input: process.stdout });
    await ended;
  } finally {
    process.kill("SIGKILL");
  }
}
