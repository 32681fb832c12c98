// Label and field selectors of lists and watches, as one predicate and the cheapest way to the candidates.
import type { CacheSelection } from "../cache/watch-cache.ts";
import type { Kind } from "../kinds/kind.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { type FieldRequirement, fieldMatcher, parseFieldSelector } from "../kinds/schema/field-selector.ts";
import { matches, parseLabelSelector } from "../kinds/schema/selector.ts";
import { indexNames } from "./indexes.ts";

export interface Selectors {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Selection {
  /** Absent: everything matches. */
  readonly matches?: (object: KubeObject) => boolean;
  /** Asked for by name: at most this object. */
  readonly name?: string;
  readonly from: CacheSelection;
}

/** Refuses with BadRequest. */
export function selectionOf(kind: Kind, namespace: string | undefined, selectors: Selectors): Selection {
  const { labelSelector = "", fieldSelector = "" } = selectors;
  const labels = labelSelector === "" ? [] : parseLabelSelector(labelSelector);
  const fields = fieldSelector === "" ? [] : parseFieldSelector(fieldSelector);
  const checks: ((object: KubeObject) => boolean)[] = [];
  if (namespace !== undefined) checks.push((object) => object.metadata?.namespace === namespace);
  if (fields.length > 0) checks.push(fieldMatcher(fields, kind.selectableFields));
  if (labels.length > 0) checks.push((object) => matches(labels, object.metadata?.labels));
  const name = equalTo(fields, "metadata.name");
  return {
    ...(checks.length === 0 ? {} : { matches: (object) => checks.every((check) => check(object)) }),
    ...(name === undefined ? {} : { name }),
    from: cheapest(kind, namespace, fields),
  };
}

function cheapest(kind: Kind, namespace: string | undefined, fields: readonly FieldRequirement[]): CacheSelection {
  for (const name of indexNames(kind.resource)) {
    const value = equalTo(fields, name);
    if (value !== undefined && value !== "") return { index: { name, value } };
  }
  return namespace === undefined ? {} : { namespace };
}

function equalTo(fields: readonly FieldRequirement[], field: string): string | undefined {
  return fields.find((requirement) => requirement.field === field && requirement.equal)?.value;
}
