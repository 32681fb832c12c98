// naru store: backs up a cluster's state, puts it back, and moves it from one store to another.
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { type Command, connectionOptions, type Invocation, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { startProgress } from "../progress.ts";

export const store: Command = {
  name: "store",
  summary: "Back up a cluster's state, restore it, or move it to another store",
  usage: "store backup FILE | store restore FILE --to URL | store migrate --from URL --to URL",
  examples: [
    "naru store backup /var/backups/naru.db",
    "naru store restore /var/backups/naru.db --to sqlite:/var/lib/naru/store.db",
    "naru store migrate --from sqlite:/var/lib/naru/store.db --to etcd://10.0.0.1:2379",
  ],
  options: {
    ...connectionOptions,
    from: { type: "string", value: "URL", help: "sqlite:FILE or etcd://HOST:PORT,…; its servers must be stopped" },
    to: { type: "string", value: "URL", help: "an empty store" },
  },
  arguments: [{ type: "words", words: ["backup", "restore", "migrate"] }, { type: "files" }],
  run: async (invocation) => {
    const [action = "", file, ...more] = invocation.positionals;
    const run = actions[action];
    if (run === undefined)
      throw new UsageError(`store takes ${Object.keys(actions).join(", ")}, got ${JSON.stringify(action)}`);
    if (more.length > 0) throw new UsageError(`one file too many: ${more.join(" ")}`);
    return run(invocation, file);
  },
};

type Action = (invocation: Invocation, file: string | undefined) => Promise<number>;

const actions: Readonly<Record<string, Action>> = {
  backup: async (invocation, file) => {
    if (file === undefined) throw new UsageError("name the file to write: naru store backup FILE");
    const { checkCopy } = await import("../../api/store/sqlite-restore.ts");
    const connection = await connect(invocation);
    const partial = `${file}.partial`;
    try {
      const { signal } = invocation;
      const answer = await connection.open("GET", "/naru/v1/store/copy", { signal });
      // There are Secrets in it.
      await rm(partial, { force: true });
      await pipeline(answer, createWriteStream(partial, { flags: "wx", mode: 0o600, flush: true }), { signal });
      const { objects } = checkCopy(partial);
      await rename(partial, file);
      console.log(`${file}: ${objects} objects`);
    } finally {
      await rm(partial, { force: true });
      connection.close();
    }
    return 0;
  },
  restore: async (invocation, file) => {
    const to = invocation.text("to");
    if (file === undefined || to === undefined)
      throw new UsageError("name the copy and the store: naru store restore FILE --to URL");
    if (!to.startsWith("sqlite:"))
      throw new UsageError(
        `a copy is restored into sqlite:FILE; into ${to} it moves with naru store migrate --from sqlite:${file} --to ${to}`,
      );
    const { restoreCopy } = await import("../../api/store/sqlite-restore.ts");
    const path = to.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "");
    const { objects } = await restoreCopy(file, path);
    console.log(`${path}: ${objects} objects`);
    return 0;
  },
  migrate: async (invocation) => {
    const [from, to] = [invocation.text("from"), invocation.text("to")];
    if (from === undefined || to === undefined) throw new UsageError("name both stores: --from URL --to URL");
    const { openStore } = await import("../../api/store/open.ts");
    const { migrateStore } = await import("../../api/store/migrate.ts");
    const { realClock } = await import("../../lib/clock.ts");
    const { realRandom } = await import("../../lib/random.ts");
    const { silentLogger } = await import("../../lib/log.ts");
    const base = { clock: realClock, random: realRandom(), log: silentLogger };
    await using source = await openStore(from, base);
    await using target = await openStore(to, base);
    const progress = startProgress();
    const copied = await migrateStore({
      from: source,
      to: target,
      onProgress: (count) => progress.update(`${count} objects`),
    });
    progress.done(`${copied} objects copied`);
    return 0;
  },
};
