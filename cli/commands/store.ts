// naru store: moves a cluster's state from one store to another, with the server stopped.
import { type Command, UsageError } from "../command.ts";
import { startProgress } from "../progress.ts";

export const store: Command = {
  name: "store",
  summary: "Move a cluster's state to another store",
  usage: "store migrate --from URL --to URL",
  examples: ["naru store migrate --from sqlite:/var/lib/naru/store.db --to etcd://10.0.0.1:2379"],
  options: {
    from: { type: "string", value: "URL", help: "sqlite:FILE or etcd://HOST:PORT,…; its servers must be stopped" },
    to: { type: "string", value: "URL", help: "an empty store" },
  },
  arguments: [{ type: "words", words: ["migrate"] }],
  run: async (invocation) => {
    const [action] = invocation.positionals;
    const [from, to] = [invocation.text("from"), invocation.text("to")];
    if (action !== "migrate") throw new UsageError(`store takes migrate, got ${JSON.stringify(action)}`);
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
