// On which nodes a volume is.
import type { NodeSelectorRequirement, PersistentVolume } from "./generated/types.ts";

/** The names of the nodes that its node affinity allows; undefined when it is not bound to named ones. */
export function nodesOfVolume(volume: PersistentVolume): readonly string[] | undefined {
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms;
  if (terms === undefined) return undefined;
  const names = terms.map(({ matchExpressions = [], matchFields = [] }) =>
    [...matchExpressions, ...matchFields].find(namesNodes),
  );
  return names.every((found) => found !== undefined) ? names.flatMap((found) => found?.values ?? []) : undefined;
}

// The host name label of a node is its name.
function namesNodes({ key, operator }: NodeSelectorRequirement): boolean {
  return operator === "In" && (key === "metadata.name" || key === "kubernetes.io/hostname");
}
