// naru logs: what containers wrote; of several pods at once with each line's origin in front.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { lines } from "../../client/http.ts";
import { type Command, connectionOptions, namespaceOptions, numberOption, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { podsOf } from "../pods.ts";
import { namespaceOf, pathOf } from "../resources.ts";
import { cyan } from "../terminal.ts";

export const logs: Command = {
  name: "logs",
  summary: "Print what a container wrote",
  usage: "logs POD|KIND/NAME [-c CONTAINER] [-f]",
  examples: ["naru logs web-5d9c-x7k2p", "naru logs -f deploy/web", "naru logs web-1 --previous --tail 20"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    follow: { type: "boolean", short: "f", help: "go on printing as it is written" },
    container: { type: "string", short: "c", value: "NAME", help: "which container, when there are several" },
    previous: { type: "boolean", short: "p", help: "of the container before its last restart" },
    tail: { type: "string", value: "LINES", help: "only the last lines" },
    since: { type: "string", value: "SECONDS", help: "only what is younger" },
    timestamps: { type: "boolean", help: "with the time of each line" },
  },
  arguments: [{ type: "targets", kinds: ["pods", "deployments", "replicasets", "services"], bare: true }],
  run: async (invocation) => {
    const [word] = invocation.positionals;
    if (word === undefined) throw new UsageError("name a pod, or an object that has pods, such as deploy/web");
    const connection = await connect(invocation);
    const namespace = namespaceOf(invocation, connection);
    const found = await podsOf(connection, namespace, word);
    const query = new URLSearchParams();
    for (const name of ["follow", "previous", "timestamps"]) if (invocation.flag(name)) query.set(name, "true");
    const container = invocation.text("container");
    if (container !== undefined) query.set("container", container);
    const tail = numberOption(invocation, "tail");
    if (tail !== undefined) query.set("tailLines", String(tail));
    const since = numberOption(invocation, "since");
    if (since !== undefined) query.set("sinceSeconds", String(since));
    await printLogs(connection, found, query, invocation.signal);
    connection.close();
    return 0;
  },
};

/** What the pods wrote, as it comes; of several each line with its pod's name in front. */
export async function printLogs(
  connection: Connection,
  found: readonly Pod[],
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    found.map(async ({ metadata }) => {
      const name = metadata?.name ?? "";
      const path = `${pathOf(pods, metadata?.namespace, name)}/log?${query}`;
      const answer = await connection.open("GET", path, { signal, accept: "*/*" });
      if (found.length === 1) for await (const part of answer) process.stdout.write(part as Buffer);
      else for await (const line of lines(answer as AsyncIterable<Buffer>)) console.log(`${cyan(name)} ${line}`);
    }),
  );
}
