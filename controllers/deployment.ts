// Rolls a Deployment's pods from one template to the next: one ReplicaSet per template, sizes moved step by step.
import { deployments, replicasets } from "../api/kinds/generated/resources.ts";
import type { Deployment, DeploymentStatus, ReplicaSet } from "../api/kinds/generated/types.ts";
import { controllerReference, isControlledBy } from "../api/kinds/owners.ts";
import { podTemplateHash, podTemplateHashLabel } from "../api/kinds/pod-template.ts";
import { isReason } from "../api/kinds/status.ts";
import { byOwner, ownerKeys, type StartController } from "./context.ts";
import { deadlineInMs, deploymentStatus } from "./deployment-status.ts";
import { planRollout, replicasOf, type Scale } from "./plan-rollout.ts";

const revisionAnnotation = "deployment.kubernetes.io/revision";
const changeCauseAnnotation = "kubernetes.io/change-cause";

export const startDeploymentController: StartController = (context) => {
  const { client, informers, recorder, clock } = context;

  const reconcile = async (key: string) => {
    const deployment = informers.deployments.get(key);
    if (deployment === undefined || deployment.metadata?.deletionTimestamp !== undefined) return undefined;
    const owned = informers.replicaSets
      .byIndex(byOwner, deployment.metadata?.uid ?? "")
      .filter((set) => isControlledBy(set, deployment));
    const hash = podTemplateHash(deployment.spec?.template ?? {}, deployment.status?.collisionCount ?? 0);
    const found = owned.find((set) => set.metadata?.labels?.[podTemplateHashLabel] === hash);
    const oldSets = owned.filter((set) => set !== found && set.metadata?.deletionTimestamp === undefined);
    const newSet =
      found ?? (deployment.spec?.paused === true ? undefined : await makeNewSet(deployment, hash, oldSets));
    const current = newSet === undefined ? undefined : await keepRevision(deployment, newSet, oldSets);
    for (const scale of planRollout(deployment, current, oldSets)) await apply(deployment, scale);
    await cleanUp(deployment, oldSets);
    const status = deploymentStatus(deployment, { newSet: current, oldSets }, clock.now());
    await writeStatus(deployment, status);
    const afterMs = deadlineInMs(deployment, status, clock.now());
    return afterMs === undefined ? undefined : { afterMs };
  };

  const makeNewSet = async (
    deployment: Deployment,
    hash: string,
    oldSets: readonly ReplicaSet[],
  ): Promise<ReplicaSet | undefined> => {
    const { namespace = "", name = "" } = deployment.metadata ?? {};
    const labels = { ...deployment.spec?.template.metadata?.labels, [podTemplateHashLabel]: hash };
    const selector = deployment.spec?.selector ?? {};
    // The first set is born at its size; an update's starts empty and grows by the plan.
    const replicas = oldSets.some((set) => replicasOf(set) > 0) ? 0 : (deployment.spec?.replicas ?? 1);
    const isRecreateWithOld = oldSets.some((set) => (set.status?.replicas ?? 0) > 0);
    try {
      const made = await client.create(replicasets, {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        metadata: {
          namespace,
          name: `${name}-${hash}`,
          labels,
          annotations: { ...carried(deployment), [revisionAnnotation]: String(nextRevision(oldSets)) },
          ownerReferences: [controllerReference(deployments, deployment)],
        },
        spec: {
          replicas: isRecreateWithOld ? 0 : replicas,
          minReadySeconds: deployment.spec?.minReadySeconds ?? 0,
          selector: { ...selector, matchLabels: { ...selector.matchLabels, [podTemplateHashLabel]: hash } },
          template: {
            ...deployment.spec?.template,
            metadata: { ...deployment.spec?.template.metadata, labels },
          },
        },
      });
      if (replicasOf(made) > 0) {
        const message = `Scaled up replica set ${made.metadata?.name} from 0 to ${replicasOf(made)}`;
        recorder.record({ resource: deployments, object: deployment }, "Normal", "ScalingReplicaSet", message);
      }
      return made;
    } catch (error) {
      if (!isReason(error, "AlreadyExists")) throw error;
      const present = await client.get(replicasets, { namespace, name: `${name}-${hash}` });
      if (isControlledBy(present, deployment)) return present;
      // Somebody else's ReplicaSet has our name: another hash next time.
      const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
      await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, collisionCount } });
      return undefined;
    }
  };

  // An old template that is wanted again (an undo) becomes the newest revision.
  const keepRevision = async (
    deployment: Deployment,
    set: ReplicaSet,
    oldSets: readonly ReplicaSet[],
  ): Promise<ReplicaSet> => {
    const { namespace = "", name = "" } = set.metadata ?? {};
    const wanted = Math.max(revisionOf(set), nextRevision(oldSets));
    const cause = deployment.metadata?.annotations?.[changeCauseAnnotation];
    const present = set.metadata?.annotations?.[changeCauseAnnotation];
    let current = set;
    if (wanted !== revisionOf(set) || (cause !== undefined && cause !== present)) {
      const annotations = {
        [revisionAnnotation]: String(wanted),
        ...(cause === undefined ? {} : { [changeCauseAnnotation]: cause }),
      };
      current = await client.patch(
        replicasets,
        { namespace, name },
        { type: "merge", body: { metadata: { annotations } } },
      );
    }
    if (deployment.metadata?.annotations?.[revisionAnnotation] !== String(wanted)) {
      const body = { metadata: { annotations: { [revisionAnnotation]: String(wanted) } } };
      await client.patch(deployments, { namespace, name: deployment.metadata?.name ?? "" }, { type: "merge", body });
    }
    return current;
  };

  const apply = async (deployment: Deployment, { set, replicas }: Scale): Promise<void> => {
    const { namespace = "", name = "" } = set.metadata ?? {};
    await client.patch(replicasets, { namespace, name }, { type: "merge", body: { spec: { replicas } } });
    const direction = replicas > replicasOf(set) ? "up" : "down";
    const message = `Scaled ${direction} replica set ${name} from ${replicasOf(set)} to ${replicas}`;
    recorder.record({ resource: deployments, object: deployment }, "Normal", "ScalingReplicaSet", message);
  };

  const cleanUp = async (deployment: Deployment, oldSets: readonly ReplicaSet[]): Promise<void> => {
    const empty = oldSets.filter((set) => replicasOf(set) === 0 && (set.status?.replicas ?? 0) === 0);
    const excess = empty.length - (deployment.spec?.revisionHistoryLimit ?? 10);
    if (excess <= 0) return;
    const oldest = [...empty].sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, excess);
    for (const { metadata } of oldest) {
      await client.delete(
        replicasets,
        { namespace: metadata?.namespace ?? "", name: metadata?.name ?? "" },
        { preconditions: { uid: metadata?.uid ?? "" } },
      );
    }
  };

  const writeStatus = async (deployment: Deployment, status: DeploymentStatus): Promise<void> => {
    const old = deployment.status ?? {};
    const { conditions, ...counts } = status;
    const same =
      (Object.keys(counts) as (keyof typeof counts)[]).every((field) => (old[field] ?? 0) === counts[field]) &&
      JSON.stringify(old.conditions) === JSON.stringify(conditions);
    if (!same) await client.updateStatus(deployments, { ...deployment, status });
  };

  const loop = context.loop({ name: "deployment", reconcile, concurrency: 8 });
  informers.deployments.onChange((key) => loop.add(key));
  informers.replicaSets.onChange((_, set, previous) => {
    for (const key of ownerKeys("Deployment", set, previous)) loop.add(key);
  });
  return loop;
};

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata?.annotations?.[revisionAnnotation] ?? 0);
}

function nextRevision(oldSets: readonly ReplicaSet[]): number {
  return Math.max(0, ...oldSets.map(revisionOf)) + 1;
}

function carried(deployment: Deployment): Readonly<Record<string, string>> {
  const {
    "kubectl.kubernetes.io/last-applied-configuration": _,
    [revisionAnnotation]: __,
    ...rest
  } = deployment.metadata?.annotations ?? {};
  return rest;
}
