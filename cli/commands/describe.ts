// naru describe: an object in words, with what belongs to it and the Events about it.
import { events } from "../../api/kinds/generated/resources.ts";
import type { Event } from "../../api/kinds/generated/types.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { ageOf } from "../../api/kinds/schema/human-age.ts";
import { type Command, connectionOptions, namespaceOptions } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { describeObject } from "../describe/describers.ts";
import { layOut } from "../describe/layout.ts";
import { namespaceOf, pathOf, resourceOf, type Target, targetsOf } from "../resources.ts";
import { bold, red } from "../terminal.ts";

export const describe: Command = {
  name: "describe",
  summary: "Show all about an object, with its Events",
  usage: "describe KIND/NAME… | describe KIND [NAME…]",
  examples: ["naru describe pod/web-5d9c-x7k2p", "naru describe deploy web", "naru describe nodes"],
  options: { ...connectionOptions, ...namespaceOptions },
  arguments: [{ type: "kinds" }, { type: "names" }],
  run: async (invocation) => {
    const connection = await connect(invocation);
    const namespace = namespaceOf(invocation, connection);
    const list = async <T>(path: string, query: Readonly<Record<string, string>>) =>
      (await connection.send<{ items: T[] }>("GET", `${path}?${new URLSearchParams(query)}`)).items;
    let printed = 0;
    for (const { resource, name } of await findTargets(connection, namespace, invocation.positionals)) {
      const object = await connection.send<KubeObject>("GET", pathOf(resource, namespace, name), {
        signal: invocation.signal,
      });
      if (printed++ > 0) console.log("\n");
      console.log(await describeObject(resource, object, { list, nowMs: Date.now() }));
      console.log(`\n${await describeEvents(connection, object)}`);
    }
    connection.close();
    return 0;
  },
};

/** "pods" alone stands for all of them. */
async function findTargets(
  connection: Connection,
  namespace: string,
  words: readonly string[],
): Promise<readonly Target[]> {
  const [kind = ""] = words;
  if (words.length !== 1 || kind.includes("/")) return targetsOf(words);
  const resource = resourceOf(kind);
  const { items } = await connection.send<{ items: KubeObject[] }>("GET", pathOf(resource, namespace));
  if (items.length === 0)
    console.error(`No resources found${resource.namespaced ? ` in ${namespace} namespace` : ""}.`);
  return items.map(({ metadata }) => ({ resource, name: metadata?.name ?? "" }));
}

async function describeEvents(connection: Connection, { kind, metadata }: KubeObject): Promise<string> {
  const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${metadata?.name}`;
  const path = pathOf(events, metadata?.namespace ?? "default");
  const { items } = await connection.send<{ items: Event[] }>(
    "GET",
    `${path}?${new URLSearchParams({ fieldSelector })}`,
  );
  // Another object may have had this name before.
  const own = items.filter(({ involvedObject: { uid } }) => uid === undefined || uid === "" || uid === metadata?.uid);
  const nowMs = Date.now();
  const rows = own
    .map((event) => ({ ...event, last: event.lastTimestamp ?? event.eventTime ?? "" }))
    .sort((a, b) => Date.parse(a.last) - Date.parse(b.last))
    .map(({ type = "", reason = "", count = 1, last, source, message = "" }) => [
      type === "Warning" ? red(type) : type,
      reason,
      `${ageOf(last, nowMs)} ago${count > 1 ? ` (x${count})` : ""}`,
      source?.component ?? "",
      message,
    ]);
  return rows.length === 0
    ? `${bold("Events")}\n  none`
    : layOut([{ type: "table", title: "Events", header: ["TYPE", "REASON", "LAST", "FROM", "MESSAGE"], rows }]);
}
