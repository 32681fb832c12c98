// nodeSelector and node affinity: which nodes a pod wants by their labels.
// Source: Kubernetes, "Assigning Pods to Nodes".
import type { NodeSelectorTerm } from "../../api/kinds/generated/types.ts";
import { nodeTermMatches } from "../../api/kinds/node-fit.ts";
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
  return nodeTermMatches(term, { name: snapshot.names[slot] ?? "", labels: snapshot.labels[slot] ?? {} });
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
