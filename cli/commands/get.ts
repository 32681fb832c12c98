// naru get: tables as the server prints them, or the objects themselves.
import { stringify } from "yaml";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { type Command, connectionOptions, type Invocation, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { namespaceOf, pathOf, resourcesOf, targetsOf, titleOf } from "../resources.ts";
import { printTable } from "../terminal.ts";
import { followObjects } from "../watch.ts";

interface Table {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly columnDefinitions?: readonly { readonly name: string; readonly priority: number }[];
  readonly rows: readonly { readonly cells: readonly unknown[]; readonly object?: KubeObject }[];
}

const tableType = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

export const get: Command = {
  name: "get",
  summary: "List objects",
  usage: "get KIND[,KIND…] [NAME…] | get KIND/NAME",
  examples: [
    "naru get pods",
    "naru get pods -A -o wide",
    "naru get deploy web -o yaml",
    "naru get pods -l app=web -w",
    "naru get all",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    "all-namespaces": { type: "boolean", short: "A", help: "in all namespaces" },
    output: {
      type: "string",
      short: "o",
      value: "FORM",
      help: "wide, yaml, json or name",
      complete: { type: "words", words: ["wide", "yaml", "json", "name"] },
    },
    selector: {
      type: "string",
      short: "l",
      value: "LABELS",
      help: "only objects with these labels, such as app=web,tier!=test",
    },
    "field-selector": {
      type: "string",
      value: "FIELDS",
      help: "only objects with these fields, such as status.phase=Running",
    },
    watch: { type: "boolean", short: "w", help: "then print every change" },
    "no-headers": { type: "boolean", help: "leave the table's header out" },
  },
  arguments: [{ type: "kinds" }, { type: "names" }],
  run: async (invocation) => {
    const [words, ...names] = invocation.positionals;
    if (words === undefined) throw new UsageError("name a kind, such as pods; `naru get all` shows the usual ones");
    const form = invocation.text("output") ?? "table";
    if (!["table", "wide", "yaml", "json", "name"].includes(form))
      throw new UsageError(`-o takes wide, yaml, json or name, got ${JSON.stringify(form)}`);
    const connection = await connect(invocation);
    const asked: readonly Asked[] = words.includes("/")
      ? targetsOf(invocation.positionals).map(({ resource, name }) => ({ resource, name }))
      : resourcesOf(words).flatMap((resource) =>
          (names.length === 0 ? [undefined] : names).map((name) => ({ resource, name })),
        );
    if (form === "table" || form === "wide") await printTables(invocation, connection, asked, form === "wide");
    else await printObjects(invocation, connection, asked, form);
    connection.close();
    return 0;
  },
};

interface Asked {
  readonly resource: Resource;
  readonly name: string | undefined;
}

function pathFor(invocation: Invocation, connection: Connection, { resource, name }: Asked): string {
  return pathOf(resource, invocation.flag("all-namespaces") ? undefined : namespaceOf(invocation, connection), name);
}

function selection(invocation: Invocation): Record<string, string> {
  const labelSelector = invocation.text("selector");
  const fieldSelector = invocation.text("field-selector");
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

async function printTables(
  invocation: Invocation,
  connection: Connection,
  asked: readonly Asked[],
  wide: boolean,
): Promise<void> {
  let printed = 0;
  for (const one of asked) {
    const path = pathFor(invocation, connection, one);
    const table = await connection.send<Table>("GET", `${path}?${new URLSearchParams(selection(invocation))}`, {
      accept: tableType,
      signal: invocation.signal,
    });
    if (table.rows.length > 0) {
      if (printed++ > 0) console.log("");
      console.log(render(invocation, table, wide, asked.length > 1 ? one.resource : undefined));
    }
    if (invocation.flag("watch")) {
      const query = {
        ...selection(invocation),
        resourceVersion: table.metadata?.resourceVersion ?? "0",
        ...(one.name === undefined ? {} : { fieldSelector: `metadata.name=${one.name}` }),
      };
      const target = pathFor(invocation, connection, { resource: one.resource, name: undefined });
      for await (const { object } of followObjects<Table>(connection, target, query, invocation.signal, tableType)) {
        console.log(
          render(
            invocation,
            { ...object, columnDefinitions: object.columnDefinitions ?? table.columnDefinitions ?? [] },
            wide,
            undefined,
            false,
          ),
        );
      }
    }
  }
  if (printed === 0 && !invocation.flag("watch")) {
    console.error(
      `No resources found${invocation.flag("all-namespaces") ? "" : ` in ${namespaceOf(invocation, connection)} namespace`}.`,
    );
  }
}

function render(
  invocation: Invocation,
  table: Table,
  wide: boolean,
  titled: Resource | undefined,
  header = !invocation.flag("no-headers"),
): string {
  const columns = (table.columnDefinitions ?? [])
    .map(({ name, priority }, at) => ({ name, at, shown: wide || priority === 0 }))
    .filter(({ shown }) => shown);
  const scope = invocation.flag("all-namespaces");
  const rows = table.rows.map(({ cells, object }) => [
    ...(scope ? [object?.metadata?.namespace ?? ""] : []),
    ...columns.map(({ at, name }) =>
      titled !== undefined && name === "Name"
        ? titleOf(titled, String(cells[at]))
        : cells[at] === null || cells[at] === ""
          ? "<none>"
          : String(cells[at]),
    ),
  ]);
  return printTable(
    header ? [...(scope ? ["NAMESPACE"] : []), ...columns.map(({ name }) => name.toUpperCase())] : [],
    rows,
  );
}

async function printObjects(
  invocation: Invocation,
  connection: Connection,
  asked: readonly Asked[],
  form: string,
): Promise<void> {
  const objects: KubeObject[] = [];
  for (const one of asked) {
    const found = await connection.send<KubeObject & { items?: KubeObject[] }>(
      "GET",
      `${pathFor(invocation, connection, one)}?${new URLSearchParams(selection(invocation))}`,
      { signal: invocation.signal },
    );
    if (one.name !== undefined) objects.push(found);
    else {
      const apiVersion =
        one.resource.group === "" ? one.resource.version : `${one.resource.group}/${one.resource.version}`;
      objects.push(...(found.items ?? []).map((item) => ({ apiVersion, kind: one.resource.kind, ...item })));
    }
    if (form === "name")
      for (const object of objects.splice(0)) console.log(titleOf(one.resource, object.metadata?.name ?? ""));
  }
  if (form === "name") return;
  const single = asked.length === 1 && asked[0]?.name !== undefined;
  const value = single ? objects[0] : { apiVersion: "v1", kind: "List", metadata: {}, items: objects };
  console.log(form === "json" ? JSON.stringify(value, null, 2) : stringify(value, { lineWidth: 0 }).trimEnd());
}
