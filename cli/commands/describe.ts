// naru describe: an object's fields as readable text, a pod's containers and conditions, and the Events about it.
import { stringify } from "yaml";
import { events } from "../../api/kinds/generated/resources.ts";
import type { Event } from "../../api/kinds/generated/types.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { type Command, connectionOptions, namespaceOptions } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { namespaceOf, pathOf, resourceOf, type Target, targetsOf } from "../resources.ts";
import { bold, printTable, red } from "../terminal.ts";

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
    for (const { resource, name } of await findTargets(connection, namespace, invocation.positionals)) {
      const object = await connection.send<KubeObject>("GET", pathOf(resource, namespace, name), {
        signal: invocation.signal,
      });
      console.log(describeObject(object));
      console.log(await describeEvents(connection, object));
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

/** Sections of the object without the machinery's fields; empty values are left out. */
export function describeObject(object: KubeObject): string {
  const { apiVersion, kind, metadata, ...rest } = object as KubeObject & Readonly<Record<string, unknown>>;
  const { managedFields: _, resourceVersion: __, generation: ___, annotations = {}, ...meta } = metadata ?? {};
  const { "kubectl.kubernetes.io/last-applied-configuration": ____, ...shown } = annotations;
  const conditions =
    (rest["status"] as { conditions?: readonly Record<string, string>[] } | undefined)?.conditions ?? [];
  const body = {
    ...rest,
    ...(rest["status"] === undefined ? {} : { status: { ...(rest["status"] as object), conditions: undefined } }),
  };
  const parts = [
    bold(`${kind} ${meta.name}`),
    section({ apiVersion, ...meta, ...(Object.keys(shown).length === 0 ? {} : { annotations: shown }) }),
    section(body),
  ];
  if (conditions.length > 0) {
    const rows = conditions.map(({ type = "", status = "", reason = "", message = "" }) => [
      type,
      status,
      reason,
      message,
    ]);
    parts.push(bold("Conditions"), printTable(["TYPE", "STATUS", "REASON", "MESSAGE"], rows));
  }
  return parts.filter((part) => part !== "").join("\n");
}

function section(value: object): string {
  const kept = JSON.parse(JSON.stringify(value, (_, inner: unknown) => (isEmpty(inner) ? undefined : inner))) as object;
  return Object.keys(kept).length === 0 ? "" : stringify(kept, { lineWidth: 0 }).trimEnd();
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}

async function describeEvents(connection: Connection, { kind, metadata }: KubeObject): Promise<string> {
  const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${metadata?.name}`;
  const path = pathOf(events, metadata?.namespace ?? "default");
  const { items } = await connection.send<{ items: Event[] }>(
    "GET",
    `${path}?${new URLSearchParams({ fieldSelector })}`,
  );
  if (items.length === 0) return `${bold("Events")}\n<none>\n`;
  const rows = [...items]
    .sort((a, b) => Date.parse(a.lastTimestamp ?? "") - Date.parse(b.lastTimestamp ?? ""))
    .map(({ type = "", reason = "", count = 1, lastTimestamp = "", source, message = "" }) => [
      type === "Warning" ? red(type) : type,
      reason,
      `${lastTimestamp}${count > 1 ? ` (x${count})` : ""}`,
      source?.component ?? "",
      message,
    ]);
  return `${bold("Events")}\n${printTable(["TYPE", "REASON", "LAST", "FROM", "MESSAGE"], rows)}\n`;
}
