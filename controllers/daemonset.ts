// Keeps one pod of a DaemonSet on each node that fits, and replaces them when its template changes.
import { daemonsets, pods } from "../api/kinds/generated/resources.ts";
import type { DaemonSet, DaemonSetStatus, Node, Pod, PodSpec } from "../api/kinds/generated/types.ts";
import { controllerReference, isControlledBy } from "../api/kinds/owners.ts";
import { keyOf } from "../api/kinds/resource.ts";
import { equal } from "../api/kinds/schema/patch-json.ts";
import { isReason } from "../api/kinds/status.ts";
import { byOwner, ownerKeys, type StartController } from "./context.ts";
import { type DaemonPlan, daemonTolerations, nodeOf, planDaemons } from "./plan-daemons.ts";
import { applyRevisions, hashOf, planRevisions, revisionHashLabel } from "./revisions.ts";
import { slowStart } from "./slow-start.ts";
import { freeNames, stableName } from "./stable-name.ts";

// A pod that fails again and again on a node is tried there more and more seldom.
const retryLimits = { firstMs: 1000, maxMs: 15 * 60_000 };

export const startDaemonSetController: StartController = (context) => {
  const { client, informers, recorder, clock } = context;
  /** By "namespace/name/node": how often its pod has failed, and when one may be tried again. */
  const failures = new Map<string, { readonly count: number; readonly untilMs: number }>();

  const reconcile = async (key: string) => {
    const set = informers.daemonSets.get(key);
    if (set === undefined || set.metadata?.deletionTimestamp !== undefined) {
      for (const one of failures.keys()) if (one.startsWith(`${key}/`)) failures.delete(one);
      return undefined;
    }
    const uid = set.metadata?.uid ?? "";
    const owned = informers.pods.byIndex(byOwner, uid).filter((pod) => isControlledBy(pod, set));
    const history = informers.controllerRevisions.byIndex(byOwner, uid).filter((one) => isControlledBy(one, set));
    const revisions = planRevisions(set, history, new Set(owned.map(hashOf)));
    if (!(await applyRevisions(client, daemonsets, set, revisions))) {
      const collisionCount = (set.status?.collisionCount ?? 0) + 1;
      await client.updateStatus(daemonsets, { ...set, status: { ...emptyStatus, ...set.status, collisionCount } });
      return undefined;
    }
    const nowMs = clock.now();
    const plan = planDaemons({
      set,
      nodes: [...informers.nodes.list()],
      pods: owned,
      hash: revisions.hash,
      nowMs,
    });
    const waitMs = await apply(key, set, plan, revisions.hash);
    if (!equal(set.status, plan.status)) await client.updateStatus(daemonsets, { ...set, status: plan.status });
    const waits = [plan.nextMs, waitMs].filter((ms) => ms !== undefined);
    return waits.length === 0 ? undefined : { afterMs: Math.min(...waits) };
  };

  /** Ms until a pod that has failed may be removed, so that it is tried again. */
  const apply = async (
    key: string,
    set: DaemonSet,
    { create, remove }: DaemonPlan,
    hash: string,
  ): Promise<number | undefined> => {
    const [due, waits] = dueNow(key, remove);
    const left = create.values();
    const making = slowStart(create.length, async () => {
      const { value: node } = left.next();
      if (node !== undefined) await createPod(set, node, hash);
    });
    const outcomes = await Promise.allSettled(due.map((pod) => removePod(set, pod)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    const cause = (await making).failure ?? failed?.reason;
    if (cause !== undefined) throw new Error(`changing pods of DaemonSet ${key}`, { cause });
    return waits;
  };

  const dueNow = (key: string, remove: readonly Pod[]): readonly [readonly Pod[], number | undefined] => {
    const nowMs = clock.now();
    const due: Pod[] = [];
    const waits: number[] = [];
    for (const pod of remove) {
      const place = `${key}/${nodeOf(pod)}`;
      const { count, untilMs } = failures.get(place) ?? { count: 0, untilMs: 0 };
      if (pod.status?.phase !== "Failed") due.push(pod);
      else if (untilMs > nowMs) waits.push(untilMs - nowMs);
      else {
        const waitMs = Math.min(retryLimits.maxMs, retryLimits.firstMs * 2 ** Math.min(count, 30));
        failures.set(place, { count: count + 1, untilMs: nowMs + waitMs });
        due.push(pod);
      }
    }
    return [due, waits.length === 0 ? undefined : Math.min(...waits)];
  };

  const createPod = async (set: DaemonSet, node: string, hash: string): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = set.metadata ?? {};
    const isTaken = (one: string) => informers.pods.get(`${namespace}/${one}`) !== undefined;
    const names = freeNames((ordinal) => stableName(name, uid, node, ordinal), isTaken);
    const podName = names.next().value ?? "";
    try {
      await client.create(pods, daemonPod(set, { name: podName, node, hash }));
    } catch (error) {
      // An earlier pass has made it, and the cache does not show it yet.
      if (isReason(error, "AlreadyExists")) return;
      const message = `Error creating: ${error instanceof Error ? error.message : String(error)}`;
      recorder.record({ resource: daemonsets, object: set }, "Warning", "FailedCreate", message);
      throw error;
    }
    recorder.record({ resource: daemonsets, object: set }, "Normal", "SuccessfulCreate", `Created pod: ${podName}`);
  };

  const removePod = async (set: DaemonSet, pod: Pod): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    const about = { resource: daemonsets, object: set };
    if (pod.status?.phase === "Failed") {
      const message = `Found failed daemon pod ${keyOf(pod)} on node ${nodeOf(pod)}, will try to kill it`;
      recorder.record(about, "Warning", "FailedDaemonPod", message);
    }
    await client.delete(pods, { namespace, name }, { preconditions: { uid } }).catch((error: unknown) => {
      if (!isReason(error, "NotFound", "Conflict")) throw error;
    });
    recorder.record(about, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
  };

  const loop = context.loop({ name: "daemonset", reconcile, concurrency: 4 });
  informers.daemonSets.onChange((key) => loop.add(key));
  informers.nodes.onChange((_, node, previous) => {
    if (!looksSame(node, previous)) for (const set of informers.daemonSets.list()) loop.add(keyOf(set));
  });
  informers.controllerRevisions.onChange((_, revision, previous) => {
    for (const key of ownerKeys("DaemonSet", revision, previous)) loop.add(key);
  });
  informers.pods.onChange((_, pod, previous) => {
    for (const key of ownerKeys("DaemonSet", pod, previous)) loop.add(key);
  });
  return loop;
};

const emptyStatus: DaemonSetStatus = {
  currentNumberScheduled: 0,
  numberMisscheduled: 0,
  desiredNumberScheduled: 0,
  numberReady: 0,
};

/** A pod for one node: the scheduler still looks at what is free there, and binds it. */
export function daemonPod(
  set: DaemonSet,
  { name, node, hash }: { readonly name: string; readonly node: string; readonly hash: string },
): Pod {
  const { metadata, spec } = set.spec?.template ?? {};
  const affinity: PodSpec["affinity"] = {
    ...spec?.affinity,
    nodeAffinity: {
      ...spec?.affinity?.nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }],
      },
    },
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      namespace: set.metadata?.namespace ?? "",
      name,
      labels: { ...metadata?.labels, [revisionHashLabel]: hash },
      ownerReferences: [controllerReference(daemonsets, set)],
    },
    spec: { ...spec, containers: spec?.containers ?? [], affinity, tolerations: daemonTolerations(set) },
  };
}

// Nodes report their status often; only labels and taints decide.
function looksSame(node: Node | undefined, previous: Node | undefined): boolean {
  return (
    node !== undefined &&
    previous !== undefined &&
    equal(node.metadata?.labels, previous.metadata?.labels) &&
    equal(node.spec?.taints, previous.spec?.taints) &&
    node.metadata?.deletionTimestamp === previous.metadata?.deletionTimestamp
  );
}
