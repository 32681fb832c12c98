// Tables, as the server prints them.
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { namespaceOf, titleOf } from "../resources.ts";
import { printTable } from "../terminal.ts";
import type { Asked } from "./asked.ts";
import { fetchAll, type View } from "./view.ts";

export interface Table {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly columnDefinitions?: Columns;
  readonly rows: readonly { readonly cells: readonly unknown[]; readonly object?: KubeObject }[];
}

export type Columns = readonly { readonly name: string; readonly priority: number }[];

export const tableType = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/** Resolves with what was asked for and is not there. */
export async function printTables(view: View, asked: readonly Asked[]): Promise<readonly unknown[]> {
  const { invocation, connection } = view;
  const missing: unknown[] = [];
  let printed = 0;
  for (const one of asked) {
    const answer = await fetchAll<Table>(view, one, tableType);
    missing.push(...answer.missing);
    const rows = answer.found.flatMap((table) => table.rows);
    const [table] = answer.found;
    if (table === undefined || rows.length === 0) continue;
    if (printed++ > 0) console.log("");
    console.log(render(view, { ...table, rows }, one.resource));
  }
  if (printed === 0 && missing.length === 0 && !invocation.flag("watch")) {
    const everywhere = invocation.flag("all-namespaces") || asked.every(({ resource }) => !resource.namespaced);
    console.error(`No resources found${everywhere ? "" : ` in ${namespaceOf(invocation, connection)} namespace`}.`);
  }
  return missing;
}

export function render(
  { invocation, form, titled }: View,
  table: Table,
  resource: Resource,
  header = !invocation.flag("no-headers"),
): string {
  const columns = (table.columnDefinitions ?? [])
    .map(({ name, priority }, at) => ({ name, at, shown: form === "wide" || priority === 0 }))
    .filter(({ shown }) => shown);
  const scope = invocation.flag("all-namespaces");
  const rows = table.rows.map(({ cells, object }) => [
    ...(scope ? [object?.metadata?.namespace ?? ""] : []),
    ...columns.map(({ at, name }) =>
      titled && name === "Name"
        ? titleOf(resource, String(cells[at]))
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
