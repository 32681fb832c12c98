// How `naru get` looks at the cluster: through which connection, with which selection, in which form.
import type { Resource } from "../../api/kinds/resource.ts";
import { isReason } from "../../api/kinds/status.ts";
import type { Invocation } from "../command.ts";
import type { Connection } from "../connection.ts";
import { namespaceOf, pathOf } from "../resources.ts";
import type { Asked } from "./asked.ts";

export interface View {
  readonly invocation: Invocation;
  readonly connection: Connection;
  readonly form: string;
  /** Names stand with their kind in front. */
  readonly titled: boolean;
}

export function pathFor({ invocation, connection }: View, resource: Resource, name?: string): string {
  return pathOf(resource, invocation.flag("all-namespaces") ? undefined : namespaceOf(invocation, connection), name);
}

/** What each path answers; of named objects those that there are, with the refusals for the others. */
export async function fetchAll<T>(
  view: View,
  { resource, names }: Asked,
  accept?: string,
): Promise<{ readonly found: readonly T[]; readonly missing: readonly unknown[] }> {
  const query = new URLSearchParams(selection(view.invocation));
  const paths = (names ?? [undefined]).map((name) => `${pathFor(view, resource, name)}?${query}`);
  const options = { signal: view.invocation.signal, ...(accept === undefined ? {} : { accept }) };
  const answers = await Promise.allSettled(paths.map((path) => view.connection.send<T>("GET", path, options)));
  const missing = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
  const grave = missing.find((error) => !isReason(error, "NotFound"));
  if (grave !== undefined) throw grave;
  return { found: answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : [])), missing };
}

export function selection(invocation: Invocation): Record<string, string> {
  const labelSelector = invocation.text("selector");
  const fieldSelector = invocation.text("field-selector");
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}
