// The objects themselves: YAML, JSON, or their names.
import { stringify } from "yaml";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { titleOf } from "../resources.ts";
import type { Asked } from "./asked.ts";
import { fetchAll, type View } from "./view.ts";

/** Resolves with what was asked for and is not there. */
export async function printObjects(view: View, asked: readonly Asked[]): Promise<readonly unknown[]> {
  const { form } = view;
  const missing: unknown[] = [];
  const objects: { readonly title: string; readonly object: KubeObject }[] = [];
  for (const one of asked) {
    const { resource, names } = one;
    const answer = await fetchAll<KubeObject & { items?: readonly KubeObject[] }>(view, one);
    missing.push(...answer.missing);
    const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
    const found = names !== undefined ? answer.found : answer.found.flatMap(({ items = [] }) => items);
    for (const object of found)
      objects.push({
        title: titleOf(resource, object.metadata?.name ?? ""),
        object: { apiVersion, kind: resource.kind, ...object },
      });
  }
  const single = asked.length === 1 && asked[0]?.names?.length === 1;
  if (form === "name") for (const { title } of objects) console.log(title);
  else if (!single || objects.length > 0) {
    const items = objects.map(({ object }) => object);
    const value = single ? items[0] : { apiVersion: "v1", kind: "List", metadata: {}, items };
    console.log(form === "json" ? JSON.stringify(value, null, 2) : yamlOf(value));
  }
  return missing;
}

export function yamlOf(value: unknown): string {
  return stringify(value, { lineWidth: 0 }).trimEnd();
}
