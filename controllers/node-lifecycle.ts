// What follows when a node goes silent: taints, its pods not Ready at once, their deletion (and so replacement elsewhere) a little later.
// A node that runs short of something gets a taint for that, which keeps off further pods.

import { conditionOf, shuttingDownMessage } from "../api/kinds/conditions.ts";
import { nodes, pods } from "../api/kinds/generated/resources.ts";
import type { Node, Pod, Taint } from "../api/kinds/generated/types.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { isReason } from "../api/kinds/status.ts";
import type { Again } from "../client/reconcile-loop.ts";
import { timestamp } from "../lib/clock.ts";
import { isActive } from "./availability.ts";
import { byNode, type StartController } from "./context.ts";

const notReadySinceAnnotation = "naru.dev/not-ready-since";
const nodeNotReadyReason = "NodeNotReady";
/** A node that is back has so long to say itself how its pods are. */
const agentFirstMs = 2000;
const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";

/** Source: Kubernetes documentation, "Taint nodes by condition". */
const taintsByCondition: readonly (readonly [condition: string, taint: string])[] = [
  ["MemoryPressure", "node.kubernetes.io/memory-pressure"],
  ["DiskPressure", "node.kubernetes.io/disk-pressure"],
  ["PIDPressure", "node.kubernetes.io/pid-pressure"],
];

const noTaints: readonly Taint[] = [];

/** "ready", or the taint's key for a node that says it is not well (False) or says nothing (Unknown). */
export function healthOf(node: Node): "ready" | typeof notReady | typeof unreachable {
  switch (conditionOf(node.status?.conditions, "Ready")?.status) {
    case "True":
      return "ready";
    case "Unknown":
      return unreachable;
    default:
      return notReady;
  }
}

/** It says that it is about to leave. */
export function isShuttingDown({ status }: Node): boolean {
  const ready = conditionOf(status?.conditions, "Ready");
  return ready?.status === "False" && ready.message === shuttingDownMessage;
}

/** The node's taints as its health asks for them; the same list when nothing changes. */
export function planTaints(node: Node, nowMs: number): readonly Taint[] {
  const health = healthOf(node);
  const goesDown = isShuttingDown(node);
  const present = node.spec?.taints ?? noTaints;
  const wanted: readonly Taint[] = [
    ...(health === "ready"
      ? []
      : [
          { key: health, effect: "NoSchedule" },
          ...(goesDown ? [] : [{ key: health, effect: "NoExecute", timeAdded: timestamp(nowMs) }]),
        ]),
    ...taintsByCondition
      .filter(([condition]) => conditionOf(node.status?.conditions, condition)?.status === "True")
      .map(([, key]) => ({ key, effect: "NoSchedule" })),
  ];
  const isOurs = ({ key }: Taint) =>
    key === notReady || key === unreachable || taintsByCondition.some(([, taint]) => taint === key);
  const names = (taints: readonly Taint[]) =>
    taints
      .map(({ key, effect }) => `${key}:${effect}`)
      .sort()
      .join();
  const ours = present.filter(isOurs);
  return names(ours) === names(wanted) ? present : [...present.filter((taint) => !isOurs(taint)), ...wanted];
}

/** When this pod has to go, ms since the epoch; undefined: it stays. A pod's own toleration decides before the cluster's default. */
export function evictionTimeMs(pod: Pod, health: string, sinceMs: number, evictAfterMs: number): number | undefined {
  const tolerations = (pod.spec?.tolerations ?? []).filter(
    ({ key, operator, effect }) =>
      (key === health || ((key === undefined || key === "") && operator === "Exists")) &&
      (effect === undefined || effect === "" || effect === "NoExecute"),
  );
  if (tolerations.length === 0) return sinceMs + evictAfterMs;
  const seconds = tolerations.map(({ tolerationSeconds }) => tolerationSeconds).filter((one) => one !== undefined);
  return seconds.length === 0 ? undefined : sinceMs + Math.max(0, Math.min(...seconds)) * 1000;
}

export const startNodeLifecycleController: StartController = ({
  client,
  informers,
  recorder,
  clock,
  evictAfterMs,
  startGraceMs,
  loop: start,
}) => {
  const graceUntilMs = clock.now() + startGraceMs;
  const reconcile = async (name: string) => {
    const node = informers.nodes.get(name);
    if (node === undefined) {
      // The machine is gone for good: nobody is left to report the end of its pods.
      await Promise.all(informers.pods.byIndex(byNode, name).map((pod) => remove(pod, 0)));
      return undefined;
    }
    const taints = planTaints(node, clock.now());
    if (taints !== (node.spec?.taints ?? noTaints)) {
      await client.patch(
        nodes,
        { name },
        { type: "merge", body: { metadata: { resourceVersion: node.metadata?.resourceVersion }, spec: { taints } } },
      );
    }
    const health = healthOf(node);
    if (health === "ready") return await restoreReady(node);
    // It ends its pods itself, in their order: as long as it is heard, nobody else does.
    if (isShuttingDown(node)) return undefined;
    const sinceMs = silentSinceMs(node);
    // One that has ended needs no other place, and what it tells of its end stays.
    const affected = informers.pods.byIndex(byNode, name).filter(isActive);
    await Promise.all(affected.map((pod) => markNotReady(pod, health)));
    const notBeforeMs = sinceMs < graceUntilMs - startGraceMs ? graceUntilMs : 0;
    const due = affected.map((pod) => {
      const atMs = evictionTimeMs(pod, health, sinceMs, evictAfterMs);
      return { pod, atMs: atMs === undefined ? undefined : Math.max(atMs, notBeforeMs) };
    });
    const nowMs = clock.now();
    await Promise.all(
      due
        .filter(({ atMs }) => atMs !== undefined && atMs <= nowMs)
        .map(({ pod }) => {
          recorder.record(
            { resource: pods, object: pod },
            "Normal",
            "TaintManagerEviction",
            `Node ${name} is ${health === unreachable ? "unreachable" : "not ready"}: replacing pod ${pod.metadata?.name}`,
          );
          return remove(pod, undefined);
        }),
    );
    const next = Math.min(...due.map(({ atMs }) => atMs ?? Number.POSITIVE_INFINITY).filter((atMs) => atMs > nowMs));
    return Number.isFinite(next) ? { afterMs: next - nowMs } : undefined;
  };

  // Services must stop sending at once; the pod's own agent cannot say it.
  const markNotReady = async (pod: Pod, health: string): Promise<void> => {
    const ready = conditionOf(pod.status?.conditions, "Ready");
    if (ready?.status !== "True") return;
    const { namespace = "", name = "", uid = "", resourceVersion = "" } = pod.metadata ?? {};
    const condition = {
      type: "Ready",
      status: "False",
      reason: nodeNotReadyReason,
      message: `node is ${health === unreachable ? "unreachable" : "not ready"}`,
      lastTransitionTime: timestamp(clock.now()),
    };
    await client
      .patch(
        pods,
        { namespace, name },
        {
          type: "strategic",
          subresource: "status",
          body: { metadata: { uid, resourceVersion }, status: { conditions: [condition] } },
        },
      )
      .catch(ignoreMissing);
  };

  // A mark may be written after the agent's own word has come back: then the agent has no reason to say it again.
  const restoreReady = async (node: Node): Promise<Again> => {
    const marked = informers.pods.byIndex(byNode, node.metadata?.name ?? "").filter(isMarked);
    if (marked.length === 0) return undefined;
    const waitMs = Date.parse(conditionOf(node.status?.conditions, "Ready")?.lastTransitionTime ?? "") + agentFirstMs;
    const leftMs = waitMs - clock.now();
    if (leftMs > 0) return { afterMs: leftMs };
    await Promise.all(
      marked.map(({ metadata, status }) => {
        const { namespace = "", name = "", uid = "", resourceVersion = "" } = metadata ?? {};
        const said = conditionOf(status?.conditions, "ContainersReady")?.status ?? "False";
        const condition = {
          type: "Ready",
          status: said,
          reason: said === "True" ? null : "ContainersNotReady",
          message: null,
          lastTransitionTime: timestamp(clock.now()),
        };
        const body = { metadata: { uid, resourceVersion }, status: { conditions: [condition] } };
        return client
          .patch(pods, { namespace, name }, { type: "strategic", subresource: "status", body })
          .catch(ignoreGone);
      }),
    );
    return undefined;
  };

  // Whoever holds a pod, a Job for one, judges by this whether its end counts as a failure.
  const sayWhy = async ({ metadata, status }: Pod, nodeIsGone: boolean): Promise<void> => {
    if (hasEnded({ status })) return;
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: nodeIsGone ? "DeletionByPodGC" : "DeletionByTaintManager",
      message: nodeIsGone ? "PodGC: node no longer exists" : "Taint manager: deleting due to NoExecute taint",
      lastTransitionTime: timestamp(clock.now()),
    };
    const { namespace = "", name = "", uid } = metadata ?? {};
    const body = { metadata: { uid }, status: { conditions: [condition], ...(nodeIsGone ? { phase: "Failed" } : {}) } };
    await client.patch(pods, { namespace, name }, { type: "strategic", subresource: "status", body }).catch(ignoreGone);
  };

  const remove = async (pod: Pod, gracePeriodSeconds: number | undefined): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    const grace = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
    if ((pod.metadata?.finalizers ?? []).length > 0) await sayWhy(pod, gracePeriodSeconds === 0);
    await client.delete(pods, { namespace, name }, { preconditions: { uid }, ...grace }).catch(ignoreGone);
  };

  const loop = start({ name: "node-lifecycle", reconcile, concurrency: 8 });
  informers.nodes.onChange((key, node, previous) => {
    if (node === undefined || previous === undefined || healthOf(node) !== "ready" || healthOf(previous) !== "ready")
      loop.add(key);
    else if (planTaints(node, clock.now()) !== (node.spec?.taints ?? noTaints)) loop.add(key);
  });
  // A pod that is bound after its node went silent.
  informers.pods.onChange((_, pod, previous) => {
    const nodeName = pod?.spec?.nodeName;
    if (nodeName === undefined) return;
    const node = informers.nodes.get(nodeName);
    if (pod !== undefined && isMarked(pod) && node !== undefined && healthOf(node) === "ready")
      loop.addAfter(nodeName, agentFirstMs);
    if (previous?.spec?.nodeName === nodeName) return;
    if (node === undefined || healthOf(node) !== "ready") loop.addAfter(nodeName, 1000);
  });
  return loop;
};

function silentSinceMs(node: Node): number {
  const noted = Number(node.metadata?.annotations?.[notReadySinceAnnotation]);
  if (noted > 0) return noted;
  return Date.parse(
    conditionOf(node.status?.conditions, "Ready")?.lastTransitionTime ?? node.metadata?.creationTimestamp ?? "",
  );
}

function isMarked({ metadata, status }: Pod): boolean {
  const ready = conditionOf(status?.conditions, "Ready");
  return metadata?.deletionTimestamp === undefined && ready?.status === "False" && ready.reason === nodeNotReadyReason;
}

function ignoreMissing(error: unknown): void {
  if (!isReason(error, "NotFound")) throw error;
}

function ignoreGone(error: unknown): void {
  if (!isReason(error, "NotFound", "Conflict")) throw error;
}
