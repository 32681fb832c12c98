// Clients that write all the time while something is killed, and remember what was acknowledged.
import { setTimeout as delay } from "node:timers/promises";
import { configmaps } from "../../api/kinds/generated/resources.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "./questions.ts";

export interface Writers {
  /** Resolves when so many more writes have been acknowledged. */
  more(count: number): Promise<void>;
  /** Ends them; resolves with what the cluster has otherwise than it acknowledged. */
  stop(): Promise<readonly string[]>;
}

const writersCount = 4;
const namespace = "default";

export function startWriters(cluster: TestCluster): Writers {
  // What may have been done without our hearing of it is in neither.
  const present = new Map<string, string>();
  const absent = new Set<string>();
  let acknowledged = 0;
  let stopped = false;

  const attempt = async (name: string, write: () => Promise<unknown>, done: () => void) => {
    present.delete(name);
    try {
      await write();
      done();
      acknowledged++;
    } catch {
      await delay(20);
    }
  };
  const run = async (writer: number) => {
    for (let n = 0; !stopped; n++) {
      const name = `written-${writer}-${n}`;
      const object = (value: string) => ({
        metadata: { namespace, name, labels: { written: "yes" } },
        data: { value },
      });
      const limit = () => AbortSignal.timeout(10_000);
      await attempt(
        name,
        () => cluster.client.create(configmaps, object("first"), limit()),
        () => present.set(name, "first"),
      );
      if (!present.has(name)) continue;
      if (n % 3 === 1)
        await attempt(
          name,
          () => cluster.client.update(configmaps, object("second"), limit()),
          () => present.set(name, "second"),
        );
      if (n % 3 === 2)
        await attempt(
          name,
          () => cluster.client.delete(configmaps, { namespace, name }, {}, limit()),
          () => absent.add(name),
        );
    }
  };
  const running = Promise.all(Array.from({ length: writersCount }, (_, writer) => run(writer)));

  return {
    more: async (count) => {
      const wanted = acknowledged + count;
      await until(`${count} writes more`, () => (acknowledged >= wanted ? true : undefined));
    },
    stop: async () => {
      stopped = true;
      await running;
      const { items } = await until("a list", () =>
        cluster.client.list(configmaps, { namespace, labelSelector: "written" }),
      );
      const found = new Map(items.map(({ metadata, data }) => [metadata?.name ?? "", data?.["value"]]));
      return [
        ...[...present].flatMap(([name, value]) =>
          found.get(name) === value ? [] : [`${name} should be ${value}, is ${found.get(name) ?? "lost"}`],
        ),
        ...[...absent].filter((name) => found.has(name)).map((name) => `${name} was deleted and is there`),
      ];
    },
  };
}
