// Which pods a DaemonSet needs and which have to go, node by node: pure.
// Source: Kubernetes documentation, "DaemonSet", "Perform a Rolling Update on a DaemonSet".

import type { DaemonSet, DaemonSetStatus, Node, Pod, Toleration } from "../api/kinds/generated/types.ts";
import { onlyNodeOf, toleratesNode, wantsNode } from "../api/kinds/node-fit.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { portionOf } from "../api/kinds/portion.ts";
import { availableInMs, isActive, isReady } from "./availability.ts";
import { hashOf } from "./revisions.ts";

export interface DaemonState {
  readonly set: DaemonSet;
  readonly nodes: readonly Node[];
  /** Its own, of every state. */
  readonly pods: readonly Pod[];
  /** Of the present template. */
  readonly hash: string;
  readonly nowMs: number;
}

export interface DaemonPlan {
  /** Names of nodes that are to get a pod. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
  readonly status: DaemonSetStatus;
  /** Until a Ready pod becomes available by waiting. */
  readonly nextMs: number | undefined;
}

const createdAtOnceMax = 250;

/** A node with what it should have and has. */
interface Place {
  readonly name: string;
  readonly shouldRun: boolean;
  /** False: what is there has to go. */
  readonly mayStay: boolean;
  readonly pods: readonly Pod[];
}

/** What each pod tolerates beside what its template says. */
export function daemonTolerations(set: DaemonSet): readonly Toleration[] {
  const { tolerations = [], hostNetwork } = set.spec?.template.spec ?? {};
  const added: readonly Toleration[] = [
    ...["not-ready", "unreachable"].map((name) => ({ key: name, effect: "NoExecute" })),
    ...["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"].map((name) => ({
      key: name,
      effect: "NoSchedule",
    })),
    ...(hostNetwork === true ? [{ key: "network-unavailable", effect: "NoSchedule" }] : []),
  ].map(({ key, effect }) => ({ key: `node.kubernetes.io/${key}`, operator: "Exists", effect }));
  const isSaid = ({ key, effect }: Toleration) =>
    tolerations.some((one) => one.key === key && one.effect === effect && one.operator === "Exists");
  return [...tolerations, ...added.filter((one) => !isSaid(one))];
}

/** The node that a pod is on or is for. */
export function nodeOf({ spec }: Pod): string {
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return spec?.nodeName ?? onlyNodeOf(terms) ?? "";
}

export function planDaemons(state: DaemonState): DaemonPlan {
  const { set } = state;
  const places = placesOf(state);
  const surge = portionOf(set.spec?.updateStrategy?.rollingUpdate?.maxSurge ?? 0, desiredOf(places), Math.ceil);
  const kept = places.map((place) => keep(place, state, surge > 0));
  const remove = kept.flatMap((one) => one.remove);
  const rollout =
    set.spec?.updateStrategy?.type === "OnDelete" ? { create: [], remove: [] } : planUpdate(places, state, surge);
  return {
    create: [...kept.flatMap(({ create }) => create), ...rollout.create].slice(0, createdAtOnceMax),
    remove: [...new Set([...remove, ...rollout.remove])].filter((pod) => pod.metadata?.deletionTimestamp === undefined),
    ...daemonStatus(places, state),
  };
}

function placesOf({ set, nodes, pods }: DaemonState): readonly Place[] {
  const perNode = new Map<string, Pod[]>();
  for (const pod of pods) {
    const name = nodeOf(pod);
    const there = perNode.get(name);
    if (there === undefined) perNode.set(name, [pod]);
    else there.push(pod);
  }
  const spec = set.spec?.template.spec ?? { containers: [] };
  const tolerations = daemonTolerations(set);
  const places = nodes.map((node) => {
    const name = node.metadata?.name ?? "";
    const wanted = node.metadata?.deletionTimestamp === undefined && wantsNode(spec, node);
    const found = perNode.get(name) ?? [];
    perNode.delete(name);
    return {
      name,
      shouldRun: wanted && toleratesNode(tolerations, node, ["NoSchedule", "NoExecute"]),
      mayStay: wanted && toleratesNode(tolerations, node, ["NoExecute"]),
      pods: found.sort(byAge),
    };
  });
  // Nodes that are gone: what is bound there ends with them, what waits for them waits in vain.
  const lost = [...perNode].map(([name, found]) => ({ name, shouldRun: false, mayStay: false, pods: found }));
  return [...places, ...lost];
}

// What a node needs and what is too much there, updates aside.
function keep(
  { name, shouldRun, mayStay, pods }: Place,
  { set, hash, nowMs }: DaemonState,
  surges: boolean,
): { readonly create: readonly string[]; readonly remove: readonly Pod[] } {
  if (!mayStay) return { create: [], remove: pods };
  // Also one that is ending keeps its place until it is gone: never two on a node.
  if (pods.length === 0) return { create: shouldRun ? [name] : [], remove: [] };
  const ended = pods.filter(hasEnded);
  const active = pods.filter(isActive);
  if (!surges) return { create: [], remove: [...ended, ...active.slice(1)] };
  const [young, ...youngs] = active.filter((pod) => hashOf(pod) === hash);
  const [old, ...olds] = active.filter((pod) => hashOf(pod) !== hash);
  const isReplaced =
    young !== undefined &&
    old !== undefined &&
    (!isReady(old) || availableInMs(young, set.spec?.minReadySeconds ?? 0, nowMs) === 0);
  return { create: [], remove: [...ended, ...youngs, ...olds, ...(isReplaced ? [old] : [])] };
}

// Old pods that nobody can use are replaced at once; of the others as many as the limits allow.
function planUpdate(
  places: readonly Place[],
  { set, hash, nowMs }: DaemonState,
  surge: number,
): { readonly create: readonly string[]; readonly remove: readonly Pod[] } {
  const isAvailable = (pod: Pod) => availableInMs(pod, set.spec?.minReadySeconds ?? 0, nowMs) === 0;
  const broken: { readonly name: string; readonly old: Pod }[] = [];
  const candidates: { readonly name: string; readonly old: Pod }[] = [];
  let busy = 0;
  for (const { name, shouldRun, mayStay, pods } of places) {
    if (!mayStay) continue;
    const active = pods.filter(isActive);
    const young = active.find((pod) => hashOf(pod) === hash);
    const old = active.find((pod) => hashOf(pod) !== hash);
    if (old === undefined || young !== undefined) {
      const isDone = young !== undefined && isAvailable(young);
      if (shouldRun && (surge > 0 ? old !== undefined : !isDone)) busy++;
    } else if (isAvailable(old)) candidates.push({ name, old });
    else {
      broken.push({ name, old });
      if (surge === 0) busy++;
    }
  }
  const { maxUnavailable = 1 } = set.spec?.updateStrategy?.rollingUpdate ?? {};
  const limit = surge > 0 ? surge : portionOf(maxUnavailable, desiredOf(places), Math.ceil);
  const next = [...broken, ...candidates.slice(0, Math.max(0, limit - busy))];
  return surge > 0
    ? {
        create: next
          .filter(({ name }) => places.some((one) => one.name === name && one.shouldRun))
          .map(({ name }) => name),
        remove: [],
      }
    : { create: [], remove: next.map(({ old }) => old) };
}

function daemonStatus(
  places: readonly Place[],
  { set, hash, nowMs }: DaemonState,
): Pick<DaemonPlan, "status" | "nextMs"> {
  const wanted = places.filter(({ shouldRun }) => shouldRun);
  // The oldest speaks for its node: an update's new pod does once the old one is gone.
  const first = wanted.map(({ pods }) => pods[0]).filter((pod) => pod !== undefined);
  const waits = first
    .map((pod) => availableInMs(pod, set.spec?.minReadySeconds ?? 0, nowMs))
    .filter((wait) => wait !== undefined);
  const available = waits.filter((wait) => wait === 0).length;
  const later = waits.filter((wait) => wait > 0);
  const { collisionCount } = set.status ?? {};
  return {
    status: {
      currentNumberScheduled: first.length,
      numberMisscheduled: places.filter(({ shouldRun, pods }) => !shouldRun && pods.length > 0).length,
      desiredNumberScheduled: wanted.length,
      numberReady: waits.length,
      observedGeneration: set.metadata?.generation ?? 0,
      updatedNumberScheduled: first.filter((pod) => hashOf(pod) === hash).length,
      numberAvailable: available,
      numberUnavailable: wanted.length - available,
      ...(collisionCount === undefined ? {} : { collisionCount }),
    },
    nextMs: later.length === 0 ? undefined : Math.min(...later),
  };
}

function desiredOf(places: readonly Place[]): number {
  return places.filter(({ shouldRun }) => shouldRun).length;
}

function byAge(a: Pod, b: Pod): number {
  const [x, y] = [a, b].map(({ metadata }) => `${metadata?.creationTimestamp}/${metadata?.name}`);
  return (x ?? "") < (y ?? "") ? -1 : 1;
}
