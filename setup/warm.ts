// Compiles what a server or an agent runs into Node's compile cache, by loading it: `warm.ts server|agent`, with their flags of V8, which
// are a part of the cache's key. Types are stripped from TypeScript only when something is not there, and what does that takes 16 MB.
import { mkdtempSync, rmSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";

if (process.argv[2] === "server") {
  await import("../cli/commands/server.ts");
  await import("../server/main.ts");
  await import("../api/kinds/protobuf.ts");
  await openStoreOnce();
} else {
  await import("../cli/commands/agent.ts");
  await import("../node-agent/main.ts");
  await import("../node-agent/docker/open-docker.ts");
  await import("../client/join.ts");
}
flushCompileCache();

// Its worker thread loads files of its own.
async function openStoreOnce(): Promise<void> {
  const { openSqliteStore } = await import("../api/store/sqlite.ts");
  const folder = mkdtempSync(join(tmpdir(), "naru-warm-"));
  const own = { clock: realClock, random: realRandom(), log: silentLogger };
  await using store = await openSqliteStore({ path: join(folder, "store.db"), ...own });
  await store.commit({ compares: [], operations: [] }).catch(() => {});
  rmSync(folder, { recursive: true, force: true });
}
