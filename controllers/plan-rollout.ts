// How a Deployment moves from old ReplicaSets to the new one: pure.
// Source: Kubernetes, "Deployments", sections on rolling update and recreate.
import type { Deployment, ReplicaSet } from "../api/kinds/generated/types.ts";
import { portionOf } from "../api/kinds/portion.ts";

/** A ReplicaSet and the replicas it shall have now. */
export interface Scale {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

export interface RolloutLimits {
  /** Pods above the wanted number while updating. */
  readonly maxSurge: number;
  /** Pods below it. */
  readonly maxUnavailable: number;
}

/** Percentages of the wanted replicas: surge rounded up, unavailable down; both 0 would never move, so one pod may be unavailable. */
export function rolloutLimits(deployment: Deployment): RolloutLimits {
  const wanted = deployment.spec?.replicas ?? 1;
  const { maxSurge = "25%", maxUnavailable = "25%" } = deployment.spec?.strategy?.rollingUpdate ?? {};
  const surge = portionOf(maxSurge, wanted, Math.ceil);
  const unavailable = Math.min(wanted, portionOf(maxUnavailable, wanted, Math.floor));
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

/** The next changes of size; none when nothing can move until pods change. `newSet` is undefined while it could not be made. */
export function planRollout(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  oldSets: readonly ReplicaSet[],
): readonly Scale[] {
  const wanted = deployment.spec?.replicas ?? 1;
  const old = oldSets.filter((set) => replicasOf(set) > 0);
  if (newSet === undefined || deployment.spec?.paused === true) return planPaused(deployment, newSet, old);
  if (deployment.spec?.strategy?.type === "Recreate") return planRecreate(wanted, newSet, oldSets);
  if (old.length === 0) return scaleTo(newSet, wanted);
  const { maxSurge, maxUnavailable } = rolloutLimits(deployment);
  const total = replicasOf(newSet) + sum(old, replicasOf);
  const grow = Math.min(wanted + maxSurge - total, wanted - replicasOf(newSet));
  const up =
    grow > 0 ? scaleTo(newSet, replicasOf(newSet) + grow) : replicasOf(newSet) > wanted ? scaleTo(newSet, wanted) : [];
  return [...up, ...planShrink(old, newSet, wanted - maxUnavailable)];
}

// Old pods that are not available go first, for they serve nobody; then as many as availability allows.
function planShrink(old: readonly ReplicaSet[], newSet: ReplicaSet, minAvailable: number): readonly Scale[] {
  const total = replicasOf(newSet) + sum(old, replicasOf);
  const newUnavailable = Math.max(0, replicasOf(newSet) - availableOf(newSet));
  let mayRemove = total - minAvailable - newUnavailable;
  if (mayRemove <= 0) return [];
  const left = new Map(old.map((set) => [set, replicasOf(set)]));
  const oldestFirst = [...old].sort(
    (a, b) => Date.parse(a.metadata?.creationTimestamp ?? "") - Date.parse(b.metadata?.creationTimestamp ?? ""),
  );
  for (const set of oldestFirst) {
    const broken = Math.min(mayRemove, Math.max(0, replicasOf(set) - availableOf(set)));
    left.set(set, (left.get(set) ?? 0) - broken);
    mayRemove -= broken;
  }
  let spare = Math.min(
    mayRemove,
    availableOf(newSet) + sum(old, (set) => Math.min(availableOf(set), left.get(set) ?? 0)) - minAvailable,
  );
  for (const set of oldestFirst) {
    const removed = Math.min(Math.max(0, spare), left.get(set) ?? 0);
    left.set(set, (left.get(set) ?? 0) - removed);
    spare -= removed;
  }
  return oldestFirst.flatMap((set) => scaleTo(set, left.get(set) ?? 0));
}

function planRecreate(wanted: number, newSet: ReplicaSet, oldSets: readonly ReplicaSet[]): readonly Scale[] {
  const running = oldSets.filter((set) => replicasOf(set) > 0 || (set.status?.replicas ?? 0) > 0);
  return running.length > 0 ? running.flatMap((set) => scaleTo(set, 0)) : scaleTo(newSet, wanted);
}

// A paused Deployment still scales: the set that runs takes the whole number, several keep their proportions through the newest.
function planPaused(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): readonly Scale[] {
  const active = [...(newSet !== undefined && replicasOf(newSet) > 0 ? [newSet] : []), ...old];
  const largest = active.sort((a, b) => replicasOf(b) - replicasOf(a))[0] ?? newSet;
  if (largest === undefined) return [];
  const others = sum(active, replicasOf) - replicasOf(largest);
  return scaleTo(largest, Math.max(0, (deployment.spec?.replicas ?? 1) - others));
}

function scaleTo(set: ReplicaSet, replicas: number): readonly Scale[] {
  return replicasOf(set) === replicas ? [] : [{ set, replicas }];
}

export function replicasOf(set: ReplicaSet): number {
  return set.spec?.replicas ?? 0;
}

function availableOf(set: ReplicaSet): number {
  return set.status?.availableReplicas ?? 0;
}

function sum(sets: readonly ReplicaSet[], amount: (set: ReplicaSet) => number): number {
  return sets.reduce((total, set) => total + amount(set), 0);
}
