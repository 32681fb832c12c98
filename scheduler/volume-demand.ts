// Where a pod's volumes let it run. Pure.
import type {
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from "../api/kinds/generated/types.ts";
import { localDriver } from "../api/kinds/local-volume.ts";

export interface VolumeLookup {
  /** By "namespace/name". */
  readonly claim: (key: string) => PersistentVolumeClaim | undefined;
  readonly volume: (name: string) => PersistentVolume | undefined;
  readonly storageClass: (name: string) => StorageClass | undefined;
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
  { claim, volume, storageClass, nodesUsing }: VolumeLookup,
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
    else if (storageClass(found.spec?.storageClassName ?? "")?.provisioner !== localDriver)
      return { type: "wait", message: unbound(name, found.spec?.storageClassName ?? "", storageClass) };
  }
  return { type: "terms", terms };
}

/** Only the local driver makes a volume where the claim's first pod comes: without it a volume has to be there before. */
function unbound(claim: string, className: string, storageClass: VolumeLookup["storageClass"]): string {
  const begin = `persistentvolumeclaim "${claim}" is bound to no volume and`;
  if (className === "") return `${begin} names no storage class`;
  if (storageClass(className) === undefined) return `${begin} there is no storage class ${className}`;
  return `${begin} nothing makes one of class ${className}`;
}
