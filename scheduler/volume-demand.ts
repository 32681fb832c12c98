// Where a pod's volumes let it run. Pure.
import type { NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, Pod } from "../api/kinds/generated/types.ts";

export interface VolumeLookup {
  /** By "namespace/name". */
  readonly claim: (key: string) => PersistentVolumeClaim | undefined;
  readonly volume: (name: string) => PersistentVolume | undefined;
  /** Nodes of placed pods that use the claim: its volume is being made there. */
  readonly nodesUsing: (claimKey: string) => Iterable<string>;
}

export type VolumeDemand =
  /** For each volume the terms of which one must match a node. */
  | { readonly type: "terms"; readonly terms: readonly (readonly NodeSelectorTerm[])[] }
  /** No node will do until something else happens. */
  | { readonly type: "wait"; readonly message: string };

/** Keys of the claims that a pod's volumes are of. */
export function claimKeysOf({ metadata, spec }: Pod): readonly string[] {
  return (spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) =>
    persistentVolumeClaim === undefined ? [] : [`${metadata?.namespace ?? ""}/${persistentVolumeClaim.claimName}`],
  );
}

export function volumeDemandOf(
  claimKeys: readonly string[],
  { claim, volume, nodesUsing }: VolumeLookup,
): VolumeDemand {
  const terms: (readonly NodeSelectorTerm[])[] = [];
  for (const key of claimKeys) {
    const name = key.slice(key.indexOf("/") + 1);
    const found = claim(key);
    if (found === undefined) return { type: "wait", message: `persistentvolumeclaim "${name}" not found` };
    if (found.metadata?.deletionTimestamp !== undefined)
      return { type: "wait", message: `persistentvolumeclaim "${name}" is being deleted` };
    const volumeName = found.spec?.volumeName ?? "";
    if (volumeName !== "") {
      const bound = volume(volumeName);
      if (bound === undefined)
        return { type: "wait", message: `persistentvolumeclaim "${name}" has lost its volume ${volumeName}` };
      const wanted = bound.spec?.nodeAffinity?.required?.nodeSelectorTerms;
      if (wanted !== undefined) terms.push(wanted);
      continue;
    }
    const [node] = nodesUsing(key);
    if (node !== undefined) terms.push([{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }]);
    else if ((found.spec?.storageClassName ?? "") === "")
      return {
        type: "wait",
        message: `persistentvolumeclaim "${name}" is bound to no volume and names no storage class`,
      };
  }
  return { type: "terms", terms };
}
