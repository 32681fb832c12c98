// Which nodes a pod may be on by their labels and taints: what the scheduler asks of each, and a DaemonSet beforehand.
// Source: Kubernetes documentation, "Assigning Pods to Nodes", "Taints and Tolerations".
import type { Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration } from "./generated/types.ts";

export interface NodeDescription {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Whether all that a term says is true of a node. An empty term matches nothing. */
export function nodeTermMatches(term: NodeSelectorTerm, { name, labels }: NodeDescription): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every((one) => requirementMatches(one, labels[one.key])) &&
    fields.every((one) => requirementMatches(one, one.key === "metadata.name" ? name : undefined))
  );
}

/** Whether `toleration` lets a pod be with `taint`. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== "" && toleration.effect !== taint.effect) return false;
  if (toleration.operator === "Exists")
    return toleration.key === undefined || toleration.key === "" || toleration.key === taint.key;
  return toleration.key === taint.key && (toleration.value ?? "") === (taint.value ?? "");
}

/** nodeName, nodeSelector and required node affinity of a pod's spec. */
export function wantsNode(spec: PodSpec, { metadata }: Node): boolean {
  const node = { name: metadata?.name ?? "", labels: metadata?.labels ?? {} };
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return (
    (spec.nodeName === undefined || spec.nodeName === node.name) &&
    Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => node.labels[key] === value) &&
    (terms === undefined || terms.some((term) => nodeTermMatches(term, node)))
  );
}

/** Whether the node has no taint of these effects that nothing tolerates. */
export function toleratesNode(tolerations: readonly Toleration[], { spec }: Node, effects: readonly string[]): boolean {
  return (spec?.taints ?? []).every(
    (taint) => !effects.includes(taint.effect) || tolerations.some((toleration) => tolerates(toleration, taint)),
  );
}

/** The one node that required affinity leaves, by its name, as the pods of DaemonSets have it. */
export function onlyNodeOf(terms: readonly NodeSelectorTerm[] | undefined): string | undefined {
  const [term, ...others] = terms ?? [];
  if (term === undefined || others.length > 0) return undefined;
  const named = term.matchFields?.find(({ key, operator }) => key === "metadata.name" && operator === "In");
  return named?.values?.length === 1 ? named.values[0] : undefined;
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
