// Every change from now on, in the form that was asked for.
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { titleOf } from "../resources.ts";
import { followObjects } from "../watch.ts";
import type { Asked } from "./asked.ts";
import { yamlOf } from "./objects.ts";
import { type Columns, render, type Table, tableType } from "./tables.ts";
import { pathFor, selection, type View } from "./view.ts";

export interface Start {
  readonly resource: Resource;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly columnDefinitions: Columns;
}

/** From where changes are to be followed. */
export async function startOf(view: View, { resource, names = [] }: Asked): Promise<Start> {
  const { invocation, connection } = view;
  const path = pathFor(view, resource);
  const [name] = names;
  const selected = {
    ...selection(invocation),
    ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
  };
  const { metadata, columnDefinitions = [] } = await connection.send<Table>(
    "GET",
    `${path}?${new URLSearchParams({ ...selected, limit: "1" })}`,
    { accept: tableType, signal: invocation.signal },
  );
  return {
    resource,
    path,
    query: { ...selected, resourceVersion: metadata?.resourceVersion ?? "0" },
    columnDefinitions,
  };
}

export async function printChanges(view: View, start: Start): Promise<void> {
  const { invocation, connection, form } = view;
  const { resource, path, query } = start;
  const table = form === "table" || form === "wide";
  const accept = table ? tableType : undefined;
  const changes = followObjects<Table & KubeObject>(connection, path, query, invocation.signal, accept);
  for await (const { object } of changes) {
    if (table) {
      const columnDefinitions = object.columnDefinitions ?? start.columnDefinitions;
      console.log(render(view, { ...object, columnDefinitions }, resource, false));
    } else if (form === "name") console.log(titleOf(resource, object.metadata?.name ?? ""));
    else console.log(form === "json" ? JSON.stringify(object) : `---\n${yamlOf(object)}`);
  }
}
