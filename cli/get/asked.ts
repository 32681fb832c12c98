// What `naru get` is asked for.
import type { Resource } from "../../api/kinds/resource.ts";
import { resourcesOf, targetsOf } from "../resources.ts";

/** Objects of one kind: those with the names, or all. */
export interface Asked {
  readonly resource: Resource;
  readonly names?: readonly string[];
}

/** "pods web db", "pods,services", or "pod/web service/web" with the kinds in the order that they are named first. */
export function askedOf(words: readonly string[]): readonly Asked[] {
  const [kinds = "", ...names] = words;
  if (!kinds.includes("/"))
    return resourcesOf(kinds).map((resource) => (names.length === 0 ? { resource } : { resource, names }));
  const targets = targetsOf(words);
  return [...new Set(targets.map(({ resource }) => resource))].map((resource) => ({
    resource,
    names: targets.filter((one) => one.resource === resource).map(({ name }) => name),
  }));
}
