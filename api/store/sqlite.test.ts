import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { storeContract } from "./contract.ts";
import { openSqliteStore } from "./sqlite.ts";

storeContract("openSqliteStore", async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  const store = await openSqliteStore({ path: join(folder, "store.db"), clock: realClock, log: silentLogger });
  return {
    store,
    prefix: "/registry/",
    close: async () => {
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
});
