// Claims and volumes find each other; for claims of the local class a volume is made on the node where their first pod came; volumes go
// with their claims. Source: Kubernetes, "Persistent Volumes", life cycle of a volume and claim.

import { persistentvolumeclaims, persistentvolumes } from "../api/kinds/generated/resources.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from "../api/kinds/generated/types.ts";
import { localDriver, localVolumeFinalizer, volumeRemoved } from "../api/kinds/local-volume.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { bytes } from "../api/kinds/schema/quantity.ts";
import { matches, selectorOf } from "../api/kinds/schema/selector.ts";
import { isReason } from "../api/kinds/status.ts";
import { defaultClassAnnotation } from "../api/kinds/storage-class.ts";
import { nodesOfVolume } from "../api/kinds/volume-nodes.ts";
import { type ClaimWait, claimWait } from "./claim-wait.ts";
import { byNamespace, type StartController } from "./context.ts";

const protection = "kubernetes.io/pvc-protection";

export type ClaimStep =
  | { readonly type: "finalizers"; readonly finalizers: readonly string[] }
  | { readonly type: "class"; readonly name: string }
  | { readonly type: "make"; readonly volume: PersistentVolume }
  /** The volume first knows its claim, then the claim its volume: so nobody else takes it in between. */
  | { readonly type: "take"; readonly volume: PersistentVolume }
  | { readonly type: "bind"; readonly volume: PersistentVolume }
  | { readonly type: "status"; readonly status: NonNullable<PersistentVolumeClaim["status"]> }
  | ClaimWait;

export interface ClaimSurroundings {
  /** Of the claim's namespace. */
  readonly pods: readonly Pod[];
  readonly volumes: readonly PersistentVolume[];
  readonly classes: readonly StorageClass[];
}

/** The next thing to do for a claim, or what it waits for; undefined when it is as it should be. */
export function planClaim(
  claim: PersistentVolumeClaim,
  { pods, volumes, classes }: ClaimSurroundings,
): ClaimStep | undefined {
  const { metadata = {}, spec = {} } = claim;
  const users = pods.filter((pod) => !hasEnded(pod) && usesClaim(pod, metadata.name ?? ""));
  const finalizers = metadata.finalizers ?? [];
  if (metadata.deletionTimestamp !== undefined) {
    if (users.length > 0 || !finalizers.includes(protection)) return undefined;
    return { type: "finalizers", finalizers: finalizers.filter((one) => one !== protection) };
  }
  if (!finalizers.includes(protection)) return { type: "finalizers", finalizers: [...finalizers, protection] };
  if (spec.storageClassName === undefined) {
    const standard = classes.find((one) => one.metadata?.annotations?.[defaultClassAnnotation] === "true")?.metadata
      ?.name;
    if (standard !== undefined) return { type: "class", name: standard };
  }
  const own = volumes.find((volume) => isOf(volume, claim));
  if (spec.volumeName !== undefined && spec.volumeName !== "") {
    const named = volumes.find((volume) => volume.metadata?.name === spec.volumeName);
    if (named === undefined) return statusStep(claim, { phase: "Lost" });
    if (named !== own) return isFree(named, claim) ? { type: "take", volume: named } : undefined;
    return statusStep(claim, {
      phase: "Bound",
      ...(named.spec?.capacity === undefined ? {} : { capacity: named.spec.capacity }),
      ...(named.spec?.accessModes === undefined ? {} : { accessModes: named.spec.accessModes }),
    });
  }
  if (own !== undefined) return { type: "bind", volume: own };
  const fitting = volumes.filter((volume) => isFree(volume, claim) && fits(volume, claim)).sort(bySize)[0];
  if (fitting !== undefined) return { type: "take", volume: fitting };
  const storageClass = classes.find(({ metadata: { name } = {} }) => name === spec.storageClassName);
  const node = users.map((pod) => pod.spec?.nodeName ?? "").find((name) => name !== "");
  if (storageClass?.provisioner !== localDriver || node === undefined)
    return claimWait(spec.storageClassName ?? "", storageClass);
  return { type: "make", volume: localVolume(claim, node, storageClass) };
}

export type VolumeStep =
  | { readonly type: "status"; readonly phase: string }
  | { readonly type: "delete" }
  | { readonly type: "finalizers"; readonly finalizers: readonly string[] };

/** The next thing to do for a volume. `claim` is the one that it names. */
export function planVolume(
  { metadata = {}, spec = {}, status = {} }: PersistentVolume,
  claim: PersistentVolumeClaim | undefined,
  nodes: readonly Node[],
): VolumeStep | undefined {
  const name = metadata.name ?? "";
  if (metadata.deletionTimestamp !== undefined) {
    const ofVolume = nodes.filter((node) => nodesOfVolume({ spec })?.includes(node.metadata?.name ?? "") === true);
    const isGone = ofVolume.every((node) => node.status?.volumesInUse?.includes(volumeRemoved(name)) === true);
    if (!isGone || metadata.finalizers?.includes(localVolumeFinalizer) !== true) return undefined;
    return { type: "finalizers", finalizers: metadata.finalizers.filter((one) => one !== localVolumeFinalizer) };
  }
  const hasClaim =
    claim !== undefined && (spec.claimRef?.uid === undefined || claim.metadata?.uid === spec.claimRef.uid);
  const phase = spec.claimRef?.uid === undefined ? "Available" : hasClaim ? "Bound" : "Released";
  if (phase === "Released" && spec.persistentVolumeReclaimPolicy === "Delete" && spec.csi?.driver === localDriver)
    return { type: "delete" };
  return status.phase === phase ? undefined : { type: "status", phase };
}

export const startPersistentVolumeController: StartController = ({ client, informers, recorder, loop: start }) => {
  const { claims, volumes, storageClasses, pods, nodes } = informers;
  const claimLoop = start({
    name: "persistent-volume-claim",
    // One after another: two claims must not take one volume.
    concurrency: 1,
    reconcile: async (key) => {
      const claim = claims.get(key);
      if (claim === undefined) return undefined;
      const { namespace = "", name = "" } = claim.metadata ?? {};
      const step = planClaim(claim, {
        pods: pods.byIndex(byNamespace, namespace),
        volumes: [...volumes.list()],
        classes: [...storageClasses.list()],
      });
      const patch = (body: object) =>
        client.patch(persistentvolumeclaims, { namespace, name }, { type: "merge", body });
      switch (step?.type) {
        case undefined:
          return undefined;
        case "wait":
          recorder.record(
            { resource: persistentvolumeclaims, object: claim },
            ...([step.severity, step.reason, step.message] as const),
          );
          return undefined;
        case "finalizers":
          await patch({
            metadata: { finalizers: step.finalizers, resourceVersion: claim.metadata?.resourceVersion },
          }).catch(unlessChanged);
          return undefined;
        case "class":
          await patch({ spec: { storageClassName: step.name } }).catch(unlessChanged);
          return undefined;
        case "make":
          await client.create(persistentvolumes, step.volume).catch(unlessChanged);
          return undefined;
        case "take":
          await client.update(persistentvolumes, taken(step.volume, claim)).catch(unlessChanged);
          return undefined;
        case "bind":
          await patch({ spec: { volumeName: step.volume.metadata?.name } }).catch(unlessChanged);
          return undefined;
        case "status":
          await client.updateStatus(persistentvolumeclaims, { ...claim, status: step.status }).catch(unlessChanged);
          return undefined;
      }
    },
  });
  const volumeLoop = start({
    name: "persistent-volume",
    reconcile: async (name) => {
      const volume = volumes.get(name);
      if (volume === undefined) return undefined;
      const { namespace, name: claimName } = volume.spec?.claimRef ?? {};
      const step = planVolume(volume, claims.get(`${namespace}/${claimName}`), [...nodes.list()]);
      switch (step?.type) {
        case undefined:
          return undefined;
        case "delete":
          await client.delete(persistentvolumes, { name }).catch(unlessChanged);
          return undefined;
        case "finalizers": {
          const metadata = { finalizers: step.finalizers, resourceVersion: volume.metadata?.resourceVersion };
          await client.patch(persistentvolumes, { name }, { type: "merge", body: { metadata } }).catch(unlessChanged);
          return undefined;
        }
        case "status":
          await client
            .updateStatus(persistentvolumes, { ...volume, status: { ...volume.status, phase: step.phase } })
            .catch(unlessChanged);
          return undefined;
      }
    },
  });
  const addClaims = (namespace: string) => {
    for (const { metadata } of claims.byIndex(byNamespace, namespace)) claimLoop.add(`${namespace}/${metadata?.name}`);
  };
  const addAllClaims = () => {
    for (const { metadata } of claims.list()) claimLoop.add(`${metadata?.namespace}/${metadata?.name}`);
  };
  claims.onChange((key, claim, previous) => {
    claimLoop.add(key);
    const name = (claim ?? previous)?.spec?.volumeName;
    if (name !== undefined) volumeLoop.add(name);
  });
  volumes.onChange((name, volume) => {
    volumeLoop.add(name);
    const claim = volume?.spec?.claimRef;
    // A volume that is free may be what any claim waits for.
    if (claim?.uid === undefined) addAllClaims();
    else claimLoop.add(`${claim.namespace}/${claim.name}`);
  });
  storageClasses.onChange(addAllClaims);
  pods.onChange((_, pod, previous) => {
    const { metadata, spec } = pod ?? previous ?? {};
    if (spec?.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined) === true)
      addClaims(metadata?.namespace ?? "");
  });
  nodes.onChange((_, node, previous) => {
    const held = (one: Node | undefined) => one?.status?.volumesInUse?.join();
    if (node !== undefined && held(node) === held(previous)) return;
    for (const { metadata } of volumes.list())
      if (metadata?.deletionTimestamp !== undefined) volumeLoop.add(metadata.name ?? "");
  });
  return {
    [Symbol.asyncDispose]: async () => {
      await Promise.all([claimLoop[Symbol.asyncDispose](), volumeLoop[Symbol.asyncDispose]()]);
    },
  };
};

// The change that it lost to has it looked at again.
function unlessChanged(error: unknown): void {
  if (!isReason(error, "Conflict", "NotFound", "AlreadyExists")) throw error;
}

function localVolume(
  claim: PersistentVolumeClaim,
  node: string,
  { metadata, reclaimPolicy }: StorageClass,
): PersistentVolume {
  const name = `pvc-${claim.metadata?.uid}`;
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: {
      name,
      finalizers: [localVolumeFinalizer],
      annotations: { "pv.kubernetes.io/provisioned-by": localDriver },
    },
    spec: {
      accessModes: claim.spec?.accessModes ?? [],
      capacity: { storage: claim.spec?.resources?.requests?.["storage"] ?? "0" },
      csi: { driver: localDriver, volumeHandle: name },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] },
          ],
        },
      },
      persistentVolumeReclaimPolicy: reclaimPolicy ?? "Delete",
      storageClassName: metadata?.name ?? "",
      volumeMode: "Filesystem",
    },
  };
  return taken(volume, claim);
}

function taken(volume: PersistentVolume, { metadata = {} }: PersistentVolumeClaim): PersistentVolume {
  const { namespace = "", name = "", uid = "" } = metadata;
  const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid };
  return { ...volume, spec: { ...volume.spec, claimRef } };
}

function statusStep(
  claim: PersistentVolumeClaim,
  status: NonNullable<PersistentVolumeClaim["status"]>,
): ClaimStep | undefined {
  const now = claim.status ?? {};
  const isSame =
    now.phase === status.phase && JSON.stringify(now.capacity) === JSON.stringify(status.capacity ?? now.capacity);
  return isSame ? undefined : { type: "status", status: { ...now, ...status } };
}

function isOf({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  return spec?.claimRef?.uid !== undefined && spec.claimRef.uid === metadata?.uid;
}

// Nobody's, or kept by name for a claim that was still to come.
function isFree({ metadata, spec }: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  if (metadata?.deletionTimestamp !== undefined || spec?.claimRef?.uid !== undefined) return false;
  const kept = spec?.claimRef;
  return kept === undefined || (kept.name === claim.metadata?.name && kept.namespace === claim.metadata?.namespace);
}

function fits({ metadata, spec }: PersistentVolume, { spec: wanted }: PersistentVolumeClaim): boolean {
  const selector = wanted?.selector === undefined ? [] : selectorOf(wanted.selector);
  return (
    (spec?.storageClassName ?? "") === (wanted?.storageClassName ?? "") &&
    (spec?.volumeMode ?? "Filesystem") === (wanted?.volumeMode ?? "Filesystem") &&
    bytes(spec?.capacity?.["storage"] ?? "0") >= bytes(wanted?.resources?.requests?.["storage"] ?? "0") &&
    (wanted?.accessModes ?? []).every((mode) => spec?.accessModes?.includes(mode) === true) &&
    selector !== undefined &&
    matches(selector, metadata?.labels)
  );
}

function bySize(a: PersistentVolume, b: PersistentVolume): number {
  const size = ({ spec }: PersistentVolume) => bytes(spec?.capacity?.["storage"] ?? "0");
  return size(a) - size(b);
}

function usesClaim({ spec }: Pod, name: string): boolean {
  return spec?.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === name) === true;
}
