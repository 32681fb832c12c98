// Keeps as many pods as a ReplicaSet asks for.
import { conditionOf, setCondition } from "../api/kinds/conditions.ts";
import { pods, replicasets } from "../api/kinds/generated/resources.ts";
import type { Pod, ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from "../api/kinds/generated/types.ts";
import { controllerReference } from "../api/kinds/owners.ts";
import { keyOf } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import { availableInMs, isActive, isReady } from "./availability.ts";
import { byOwner, ownerKeys, type StartController } from "./context.ts";
import { createOwnWrites } from "./own-writes.ts";
import { lookAtRefusals } from "./refused-pods.ts";
import { slowStart } from "./slow-start.ts";

export type ReplicaChange =
  | { readonly type: "create"; readonly count: number }
  | { readonly type: "delete"; readonly pods: readonly Pod[] };

// Many at once share disk writes; more would only crowd out others.
const createdAtOnceMax = 250;

/** What brings `active` pods (neither ended nor being deleted) to `wanted`. `unseen`: created by us, not yet in the cache. */
export function planReplicas(wanted: number, active: readonly Pod[], unseen: number): ReplicaChange | undefined {
  const missing = wanted - active.length - unseen;
  if (missing > 0) return { type: "create", count: Math.min(missing, createdAtOnceMax) };
  if (wanted < active.length) return { type: "delete", pods: leastMissed(active).slice(0, active.length - wanted) };
  return undefined;
}

/** Why there are fewer pods, or more, than asked for. */
export interface ReplicaFailure {
  readonly reason: "FailedCreate" | "FailedDelete" | "PodsRefused";
  readonly message: string;
}

/** Status as Kubernetes counts it; `nextMs`: when a Ready pod becomes available by waiting. */
export function replicaSetStatus(
  set: ReplicaSet,
  active: readonly Pod[],
  nowMs: number,
  failure?: ReplicaFailure,
): { status: ReplicaSetStatus; nextMs: number | undefined } {
  const labels = Object.entries(set.spec?.template?.metadata?.labels ?? {});
  const waits = active
    .map((pod) => availableInMs(pod, set.spec?.minReadySeconds ?? 0, nowMs))
    .filter((wait) => wait !== undefined);
  const unavailable = waits.filter((wait) => wait > 0);
  return {
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter((pod) => labels.every(([k, v]) => pod.metadata?.labels?.[k] === v)).length,
      readyReplicas: waits.length,
      availableReplicas: waits.length - unavailable.length,
      observedGeneration: set.metadata?.generation ?? 0,
      ...conditionsAfter(set, failure, nowMs),
    },
    nextMs: unavailable.length === 0 ? undefined : Math.min(...unavailable),
  };
}

// Messages name pods, which differ at each try: as long as the reason stays, so does the condition.
function conditionsAfter(
  { status }: ReplicaSet,
  failure: ReplicaFailure | undefined,
  nowMs: number,
): Pick<ReplicaSetStatus, "conditions"> {
  const old = status?.conditions ?? [];
  if (failure === undefined) {
    const others = old.filter(({ type }) => type !== "ReplicaFailure");
    return status?.conditions === undefined ? {} : { conditions: others };
  }
  if (conditionOf(old, "ReplicaFailure")?.reason === failure.reason) return { conditions: old };
  const condition: ReplicaSetCondition = { type: "ReplicaFailure", status: "True", ...failure };
  return { conditions: setCondition(old, condition, nowMs) };
}

export const startReplicaSetController: StartController = (context) => {
  const { client, informers, recorder, clock } = context;
  const ownWrites = createOwnWrites(clock);

  const reconcile = async (key: string) => {
    const set = informers.replicaSets.get(key);
    if (set === undefined || set.metadata?.deletionTimestamp !== undefined) {
      ownWrites.forget(key);
      return undefined;
    }
    const owned = informers.pods.byIndex(byOwner, set.metadata?.uid ?? "");
    const active = owned.filter((pod) => isActive(pod) && !ownWrites.isDeleted(key, keyOf(pod)));
    const wanted = planReplicas(
      set.spec?.replicas ?? 1,
      active,
      ownWrites.unseen(key, (pod) => informers.pods.get(pod) !== undefined),
    );
    const refusals = wanted?.type === "create" ? lookAtRefusals(owned, clock.now()) : undefined;
    const change = refusals === undefined ? wanted : limited(wanted, refusals.allowed);
    const error = change === undefined ? undefined : await apply(key, set, change);
    const failure = error === undefined ? refusedBy(refusals?.last) : failureOf(change, error);
    const { status, nextMs } = replicaSetStatus(set, active, clock.now(), failure);
    await writeStatus(set, status);
    if (error !== undefined) throw new Error(`${change?.type} pods of ReplicaSet ${key}`, { cause: error });
    const waits = [nextMs, refusals?.afterMs].filter((ms) => ms !== undefined);
    return waits.length === 0 ? undefined : { afterMs: Math.min(...waits) };
  };

  /** What went wrong. */
  const apply = async (key: string, set: ReplicaSet, change: ReplicaChange): Promise<Error | undefined> => {
    const failure = await perform(key, set, change);
    if (failure !== undefined) {
      const { reason, message } = failureOf(change, failure);
      recorder.record({ resource: replicasets, object: set }, "Warning", reason, message);
    }
    return failure;
  };

  const perform = async (key: string, set: ReplicaSet, change: ReplicaChange): Promise<Error | undefined> => {
    if (change.type === "create") return (await slowStart(change.count, () => createPod(key, set))).failure;
    const outcomes = await Promise.allSettled(change.pods.map((pod) => deletePod(key, set, pod)));
    return outcomes.find((outcome) => outcome.status === "rejected")?.reason;
  };

  const createPod = async (key: string, set: ReplicaSet): Promise<void> => {
    const { namespace = "", name = "" } = set.metadata ?? {};
    const template = set.spec?.template;
    const pod = await client.create(pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        namespace,
        generateName: `${name}-`,
        labels: template?.metadata?.labels ?? {},
        annotations: template?.metadata?.annotations ?? {},
        ownerReferences: [controllerReference(replicasets, set)],
      },
      ...(template?.spec === undefined ? {} : { spec: template.spec }),
    });
    if (informers.pods.get(keyOf(pod)) === undefined) ownWrites.created(key, keyOf(pod));
    recorder.record(
      { resource: replicasets, object: set },
      "Normal",
      "SuccessfulCreate",
      `Created pod: ${pod.metadata?.name}`,
    );
  };

  const deletePod = async (key: string, set: ReplicaSet, pod: Pod): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    try {
      await client.delete(pods, { namespace, name }, { preconditions: { uid } });
    } catch (error) {
      if (!isReason(error, "NotFound", "Conflict")) throw error;
    }
    ownWrites.deleted(key, keyOf(pod));
    recorder.record({ resource: replicasets, object: set }, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
  };

  const writeStatus = async (set: ReplicaSet, status: ReplicaSetStatus): Promise<void> => {
    const old = set.status;
    const same = (Object.keys(status) as (keyof ReplicaSetStatus)[]).every((field) =>
      field === "conditions"
        ? JSON.stringify(old?.conditions) === JSON.stringify(status.conditions)
        : (old?.[field] ?? 0) === status[field],
    );
    if (!same) await client.updateStatus(replicasets, { ...set, status: { ...old, ...status } });
  };

  const loop = context.loop({ name: "replicaset", reconcile, concurrency: 8 });
  informers.replicaSets.onChange((key) => loop.add(key));
  informers.pods.onChange((key, pod, previous) => {
    for (const owner of ownerKeys("ReplicaSet", pod, previous)) {
      if (pod !== undefined) ownWrites.seen(owner, key);
      loop.add(owner);
    }
  });
  return loop;
};

function limited(change: ReplicaChange | undefined, allowed: number): ReplicaChange | undefined {
  if (change?.type !== "create") return change;
  return allowed === 0 ? undefined : { type: "create", count: Math.min(change.count, allowed) };
}

function failureOf(change: ReplicaChange | undefined, error: Error): ReplicaFailure {
  return change?.type === "delete"
    ? { reason: "FailedDelete", message: `Error deleting: ${error.message}` }
    : { reason: "FailedCreate", message: `Error creating: ${error.message}` };
}

function refusedBy(pod: Pod | undefined): ReplicaFailure | undefined {
  if (pod === undefined) return undefined;
  const { reason = "", message = "" } = pod.status ?? {};
  return {
    reason: "PodsRefused",
    message: `Node ${pod.spec?.nodeName} refused pod ${pod.metadata?.name}: ${reason}: ${message.trim()}; further pods wait longer each time`,
  };
}

// First those that do least: without a node, not Ready, many on one node, young.
function leastMissed(active: readonly Pod[]): readonly Pod[] {
  const perNode = new Map<string, number>();
  for (const { spec } of active) perNode.set(spec?.nodeName ?? "", (perNode.get(spec?.nodeName ?? "") ?? 0) + 1);
  const rank = (pod: Pod) => [
    pod.spec?.nodeName === undefined ? 0 : 1,
    isReady(pod) ? 1 : 0,
    -(perNode.get(pod.spec?.nodeName ?? "") ?? 0),
    -Date.parse(pod.metadata?.creationTimestamp ?? ""),
  ];
  return [...active].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const i = x.findIndex((value, at) => value !== y[at]);
    return i < 0 ? 0 : (x[i] ?? 0) - (y[i] ?? 0);
  });
}
