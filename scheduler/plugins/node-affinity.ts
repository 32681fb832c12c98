// nodeSelector and node affinity: which nodes a pod wants by their labels.
// Source: Kubernetes, "Assigning Pods to Nodes".
import type { NodeSelectorRequirement, NodeSelectorTerm } from "../../api/kinds/generated/types.ts";
import type { Filter, Score } from "../plugin.ts";
import type { PodRequirements } from "../requirements.ts";
import type { Snapshot } from "../snapshot.ts";

export const nodeAffinity: Filter = {
  name: "NodeAffinity",
  looksAt: "description",
  prepare: (pod, snapshot) => {
    const selector = Object.entries(pod.nodeSelector);
    const terms = pod.requiredTerms;
    if (selector.length === 0 && terms === undefined) return undefined;
    const text = printDemand(pod);
    return {
      fits: (slot) =>
        selector.every(([key, value]) => snapshot.labels[slot]?.[key] === value) &&
        (terms === undefined || terms.some((term) => termMatches(term, snapshot, slot))),
      refuse: () => ({ group: `labels ${text}`, say: (nodes) => `${nodes === 1 ? "lacks" : "lack"} ${text}` }),
    };
  },
};

export const preferredNodeAffinity: Score = {
  name: "PreferredNodeAffinity",
  weight: 2,
  prepare: (pod, snapshot) => {
    const total = pod.preferredTerms.reduce((sum, { weight }) => sum + Math.max(0, weight), 0);
    if (total === 0) return undefined;
    return (slot) => {
      let met = 0;
      for (const { weight, preference } of pod.preferredTerms)
        if (termMatches(preference, snapshot, slot)) met += weight;
      return (100 * met) / total;
    };
  },
};

/** Whether all that a term says is true of a node. */
export function termMatches(term: NodeSelectorTerm, snapshot: Snapshot, slot: number): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  // An empty term matches nothing.
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every((one) => requirementMatches(one, snapshot.labels[slot]?.[one.key])) &&
    fields.every((one) => requirementMatches(one, one.key === "metadata.name" ? snapshot.names[slot] : undefined))
  );
}

function requirementMatches({ operator, values = [] }: NodeSelectorRequirement, present: string | undefined): boolean {
  switch (operator) {
    case "In":
      return present !== undefined && values.includes(present);
    case "NotIn":
      return present === undefined || !values.includes(present);
    case "Exists":
      return present !== undefined;
    case "DoesNotExist":
      return present === undefined;
    case "Gt":
      return present !== undefined && Number(present) > Number(values[0]);
    case "Lt":
      return present !== undefined && Number(present) < Number(values[0]);
    default:
      // Validation lets no other operator through; a node never matches what nobody understands.
      return false;
  }
}

function printDemand(pod: PodRequirements): string {
  const parts = Object.entries(pod.nodeSelector).map(([key, value]) => `${key}=${value}`);
  const terms = (pod.requiredTerms ?? []).map((term) =>
    [...(term.matchExpressions ?? []), ...(term.matchFields ?? [])]
      .map(({ key, operator, values }) => `${key} ${operator}${values === undefined ? "" : ` (${values.join(", ")})`}`)
      .join(" and "),
  );
  if (terms.length > 0) parts.push(terms.join(" or "));
  return parts.join(", ");
}
