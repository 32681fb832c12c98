// What a Deployment says of its rollout: counts and the conditions Available and Progressing, in Kubernetes' words. Pure.
import { conditionOf, setCondition } from "../api/kinds/conditions.ts";
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "../api/kinds/generated/types.ts";
import { timestamp } from "../lib/clock.ts";
import { rolloutLimits } from "./plan-rollout.ts";

export interface RolloutState {
  readonly newSet: ReplicaSet | undefined;
  readonly oldSets: readonly ReplicaSet[];
  /** Why the new ReplicaSet could not be made. */
  readonly failure?: string;
}

export function deploymentStatus(
  deployment: Deployment,
  { newSet, oldSets }: RolloutState,
  nowMs: number,
): DeploymentStatus {
  const all = newSet === undefined ? oldSets : [newSet, ...oldSets];
  const total = (amount: (set: ReplicaSet) => number | undefined) =>
    all.reduce((sum, set) => sum + (amount(set) ?? 0), 0);
  const wanted = deployment.spec?.replicas ?? 1;
  const available = total((set) => set.status?.availableReplicas);
  const counts = {
    replicas: total((set) => set.status?.replicas),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: total((set) => set.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(
      0,
      Math.max(
        wanted,
        total((set) => set.spec?.replicas),
      ) - available,
    ),
  };
  const enough = available >= wanted - rolloutLimits(deployment).maxUnavailable;
  const conditions = setCondition<DeploymentCondition>(
    deployment.status?.conditions,
    enough
      ? {
          type: "Available",
          status: "True",
          reason: "MinimumReplicasAvailable",
          message: "Deployment has minimum availability.",
        }
      : {
          type: "Available",
          status: "False",
          reason: "MinimumReplicasUnavailable",
          message: "Deployment does not have minimum availability.",
        },
    nowMs,
  );
  return {
    ...counts,
    observedGeneration: deployment.metadata?.generation ?? 0,
    ...(deployment.status?.collisionCount === undefined ? {} : { collisionCount: deployment.status.collisionCount }),
    conditions: withFailure(all, withProgress(deployment, newSet, counts, conditions, nowMs), nowMs),
  };
}

/** Ms until the rollout's deadline passes without progress; undefined when nothing is awaited. */
export function deadlineInMs(deployment: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const progressing = conditionOf(status.conditions, "Progressing");
  if (progressing?.status !== "True" || progressing.reason === "NewReplicaSetAvailable") return undefined;
  return (
    Math.max(
      0,
      Date.parse(progressing.lastUpdateTime ?? "") + (deployment.spec?.progressDeadlineSeconds ?? 600) * 1000 - nowMs,
    ) + 1000
  );
}

// What its ReplicaSets cannot do, people look for here.
function withFailure(
  sets: readonly ReplicaSet[],
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly DeploymentCondition[] {
  const failure = sets.map(({ status }) => conditionOf(status?.conditions, "ReplicaFailure")).find((one) => one);
  if (failure === undefined) return conditions.filter(({ type }) => type !== "ReplicaFailure");
  const { status, reason = "", message = "", lastTransitionTime = "" } = failure;
  const lastUpdateTime = lastTransitionTime;
  return setCondition<DeploymentCondition>(
    conditions,
    { type: "ReplicaFailure", status, reason, message, lastUpdateTime },
    nowMs,
  );
}

function withProgress(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  counts: Pick<Required<DeploymentStatus>, "replicas" | "updatedReplicas" | "readyReplicas" | "availableReplicas">,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly DeploymentCondition[] {
  if (deployment.spec?.paused === true) return conditions;
  const old = conditionOf(conditions, "Progressing");
  const wanted = deployment.spec?.replicas ?? 1;
  const name = newSet?.metadata?.name ?? "";
  const set = (condition: Pick<DeploymentCondition, "status" | "reason" | "message">, lastUpdateTime: string) =>
    setCondition<DeploymentCondition>(conditions, { type: "Progressing", lastUpdateTime, ...condition }, nowMs);
  const done = counts.updatedReplicas === wanted && counts.replicas === wanted && counts.availableReplicas === wanted;
  if (done) {
    const same = old?.reason === "NewReplicaSetAvailable" && old.message?.includes(`"${name}"`);
    const message = `ReplicaSet "${name}" has successfully progressed.`;
    return set(
      { status: "True", reason: "NewReplicaSetAvailable", message },
      same ? (old.lastUpdateTime ?? "") : timestamp(nowMs),
    );
  }
  const before = deployment.status;
  const moved =
    old === undefined ||
    old.reason === "NewReplicaSetAvailable" ||
    counts.updatedReplicas !== (before?.updatedReplicas ?? 0) ||
    counts.readyReplicas > (before?.readyReplicas ?? 0) ||
    counts.availableReplicas > (before?.availableReplicas ?? 0) ||
    !(old.message ?? "").includes(`"${name}"`);
  if (moved)
    return set(
      { status: "True", reason: "ReplicaSetUpdated", message: `ReplicaSet "${name}" is progressing.` },
      timestamp(nowMs),
    );
  const idleMs = nowMs - Date.parse(old.lastUpdateTime ?? "");
  if (old.status === "True" && idleMs > (deployment.spec?.progressDeadlineSeconds ?? 600) * 1000) {
    const message = `ReplicaSet "${name}" has timed out progressing.`;
    return set({ status: "False", reason: "ProgressDeadlineExceeded", message }, timestamp(nowMs));
  }
  return conditions;
}
