// The cluster as the scheduler sees it: columns over nodes, updated in place by each event, so that cost grows with what changed.

import type { Node, Taint } from "../api/kinds/generated/types.ts";
import { amountOf } from "../api/kinds/pod-requests.ts";
import { matches } from "../api/kinds/schema/selector.ts";
import type { PodRequirements, SpreadRequirement } from "./requirements.ts";

/** How many matching pods each node has, for one spreading constraint. */
interface SpreadCount {
  readonly namespace: string;
  readonly requirement: SpreadRequirement;
  readonly perNode: Map<number, number>;
}

export interface Capacity {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  readonly pods: number;
  readonly extended: Readonly<Record<string, number>>;
}

const noCapacity: Capacity = { cpuMilli: 0, memoryBytes: 0, storageBytes: 0, pods: 0, extended: {} };

interface PlacedPod {
  readonly node: number;
  readonly pod: PodRequirements;
}

/**
 * Slots are stable: a removed node's slot is empty until another node takes it. Columns are exposed for plugins to read; only the
 * functions of this file write them.
 */
export interface Snapshot {
  /** Slots in use or free: loops go from 0 to here. */
  size: number;
  /** "" marks an empty slot. */
  readonly names: string[];
  readonly labels: Readonly<Record<string, string>>[];
  readonly taints: (readonly Taint[])[];
  readonly unschedulable: boolean[];
  /** Names of what makes containers there. */
  readonly runtimeHandlers: (readonly string[])[];
  cpuMilliFree: Float64Array;
  memoryBytesFree: Float64Array;
  storageBytesFree: Float64Array;
  podsFree: Float64Array;
  /** What the node can give in all. */
  readonly capacity: Capacity[];
  readonly extendedFree: Map<string, number>[];
  readonly hostPorts: Map<string, number>[];
  readonly podsOfOwner: Map<string, Map<number, number>>;
  /** Grows whenever a node's own description (not its use) changes: what was found for a class of pods is old then. */
  descriptionVersion: number;
  readonly slotOf: Map<string, number>;
  readonly freeSlots: number[];
  readonly placed: Map<string, PlacedPod>;
  /** Pods bound to nodes that are not known (yet). */
  readonly homeless: Map<string, { readonly nodeName: string; readonly pod: PodRequirements }>;
  readonly spreadCounts: Map<string, SpreadCount>;
  /** Per class of pods: which slots their demands on a node's description allow, as of a description version. */
  readonly classFits: Map<string, { readonly version: number; readonly fits: Uint8Array }>;
}

export function createSnapshot(): Snapshot {
  return {
    size: 0,
    names: [],
    labels: [],
    taints: [],
    unschedulable: [],
    runtimeHandlers: [],
    cpuMilliFree: new Float64Array(16),
    memoryBytesFree: new Float64Array(16),
    storageBytesFree: new Float64Array(16),
    podsFree: new Float64Array(16),
    capacity: [],
    extendedFree: [],
    hostPorts: [],
    podsOfOwner: new Map(),
    descriptionVersion: 0,
    slotOf: new Map(),
    freeSlots: [],
    placed: new Map(),
    homeless: new Map(),
    spreadCounts: new Map(),
    classFits: new Map(),
  };
}

/** Adds a node or takes over its change. Returns true when something that scheduling looks at is different now. */
export function putNode(snapshot: Snapshot, node: Node): boolean {
  const name = node.metadata?.name ?? "";
  const known = snapshot.slotOf.get(name);
  const slot = known ?? takeSlot(snapshot, name);
  const described = describe(node);
  const { labels, taints, unschedulable, runtimeHandlers } = snapshot;
  const before =
    known === undefined
      ? undefined
      : JSON.stringify([labels[slot], taints[slot], unschedulable[slot], runtimeHandlers[slot]]);
  const now = JSON.stringify([described.labels, described.taints, described.unschedulable, described.runtimeHandlers]);
  const descriptionChanged = before !== now;
  if (descriptionChanged) {
    snapshot.labels[slot] = described.labels;
    snapshot.taints[slot] = described.taints;
    snapshot.unschedulable[slot] = described.unschedulable;
    snapshot.runtimeHandlers[slot] = described.runtimeHandlers;
    snapshot.descriptionVersion++;
  }
  const capacityChanged = setCapacity(snapshot, slot, described.capacity);
  if (known === undefined) settleHomeless(snapshot, name);
  return descriptionChanged || capacityChanged;
}

export function removeNode(snapshot: Snapshot, name: string): void {
  const slot = snapshot.slotOf.get(name);
  if (slot === undefined) return;
  for (const [key, { node, pod }] of [...snapshot.placed]) {
    if (node !== slot) continue;
    removePod(snapshot, key);
    snapshot.homeless.set(key, { nodeName: name, pod });
  }
  snapshot.slotOf.delete(name);
  snapshot.names[slot] = "";
  snapshot.freeSlots.push(slot);
  snapshot.descriptionVersion++;
}

/** Counts a pod on a node, bound or only assumed to be; a pod that is counted already is moved. */
export function putPod(snapshot: Snapshot, pod: PodRequirements, nodeName: string): void {
  const slot = snapshot.slotOf.get(nodeName);
  if (slot !== undefined && snapshot.placed.get(pod.key)?.node === slot) return;
  removePod(snapshot, pod.key);
  if (slot === undefined) {
    snapshot.homeless.set(pod.key, { nodeName, pod });
    return;
  }
  snapshot.placed.set(pod.key, { node: slot, pod });
  count(snapshot, slot, pod, 1);
}

/** Gives back what a pod took. Returns true when it was counted. */
export function removePod(snapshot: Snapshot, key: string): boolean {
  if (snapshot.homeless.delete(key)) return true;
  const placed = snapshot.placed.get(key);
  if (placed === undefined) return false;
  snapshot.placed.delete(key);
  count(snapshot, placed.node, placed.pod, -1);
  return true;
}

/** Matching pods per node for a constraint; counted once, then kept up to date. */
export function spreadCountOf(
  snapshot: Snapshot,
  namespace: string,
  requirement: SpreadRequirement,
): ReadonlyMap<number, number> {
  const key = JSON.stringify([namespace, requirement.selector]);
  const known = snapshot.spreadCounts.get(key);
  if (known !== undefined) return known.perNode;
  const perNode = new Map<number, number>();
  for (const { node, pod } of snapshot.placed.values()) {
    if (pod.namespace === namespace && matches(requirement.selector, pod.labels)) shift(perNode, node, 1);
  }
  if (snapshot.spreadCounts.size >= spreadCountsMax)
    snapshot.spreadCounts.delete(snapshot.spreadCounts.keys().next().value ?? "");
  snapshot.spreadCounts.set(key, { namespace, requirement, perNode });
  return perNode;
}

const spreadCountsMax = 1000;

function takeSlot(snapshot: Snapshot, name: string): number {
  const slot = snapshot.freeSlots.pop() ?? snapshot.size++;
  if (slot >= snapshot.cpuMilliFree.length) grow(snapshot);
  snapshot.names[slot] = name;
  snapshot.extendedFree[slot] = new Map();
  snapshot.hostPorts[slot] = new Map();
  snapshot.capacity[slot] = noCapacity;
  for (const column of columnsOf(snapshot)) column[slot] = 0;
  snapshot.slotOf.set(name, slot);
  return slot;
}

function columnsOf(snapshot: Snapshot): readonly Float64Array[] {
  return [snapshot.cpuMilliFree, snapshot.memoryBytesFree, snapshot.storageBytesFree, snapshot.podsFree];
}

function grow(snapshot: Snapshot): void {
  const larger = (column: Float64Array) => {
    const copy = new Float64Array(column.length * 2);
    copy.set(column);
    return copy;
  };
  snapshot.cpuMilliFree = larger(snapshot.cpuMilliFree);
  snapshot.memoryBytesFree = larger(snapshot.memoryBytesFree);
  snapshot.storageBytesFree = larger(snapshot.storageBytesFree);
  snapshot.podsFree = larger(snapshot.podsFree);
}

function describe(node: Node) {
  const amounts: Record<string, number> = {};
  for (const [name, quantity] of Object.entries(node.status?.allocatable ?? {}))
    amounts[name] = amountOf(name, quantity);
  // A node that tells nothing of its disk is taken to have enough of it.
  const {
    cpu = 0,
    memory = 0,
    "ephemeral-storage": storage = Number.MAX_SAFE_INTEGER,
    pods = 110,
    ...extended
  } = amounts;
  return {
    labels: node.metadata?.labels ?? {},
    taints: (node.spec?.taints ?? []).filter((taint) => taint.effect !== "PreferNoSchedule"),
    unschedulable: node.spec?.unschedulable === true,
    runtimeHandlers: (node.status?.runtimeHandlers ?? []).map(({ name }) => name ?? ""),
    capacity: { cpuMilli: cpu, memoryBytes: memory, storageBytes: storage, pods, extended } satisfies Capacity,
  };
}

// What is free moves by the difference, so that what placed pods took stays taken.
function setCapacity(snapshot: Snapshot, slot: number, next: Capacity): boolean {
  const old = snapshot.capacity[slot] ?? noCapacity;
  if (JSON.stringify(old) === JSON.stringify(next)) return false;
  snapshot.capacity[slot] = next;
  addTo(snapshot.cpuMilliFree, slot, next.cpuMilli - old.cpuMilli);
  addTo(snapshot.memoryBytesFree, slot, next.memoryBytes - old.memoryBytes);
  addTo(snapshot.storageBytesFree, slot, next.storageBytes - old.storageBytes);
  addTo(snapshot.podsFree, slot, next.pods - old.pods);
  const free = snapshot.extendedFree[slot] ?? new Map<string, number>();
  for (const name of new Set([...Object.keys(old.extended), ...Object.keys(next.extended)])) {
    shift(free, name, (next.extended[name] ?? 0) - (old.extended[name] ?? 0));
  }
  return true;
}

function settleHomeless(snapshot: Snapshot, nodeName: string): void {
  for (const [key, lost] of [...snapshot.homeless]) {
    if (lost.nodeName !== nodeName) continue;
    snapshot.homeless.delete(key);
    putPod(snapshot, lost.pod, nodeName);
  }
}

function count(snapshot: Snapshot, slot: number, pod: PodRequirements, sign: 1 | -1): void {
  addTo(snapshot.cpuMilliFree, slot, -sign * pod.cpuMilli);
  addTo(snapshot.memoryBytesFree, slot, -sign * pod.memoryBytes);
  addTo(snapshot.storageBytesFree, slot, -sign * pod.storageBytes);
  addTo(snapshot.podsFree, slot, -sign);
  const extended = snapshot.extendedFree[slot];
  for (const name in pod.extended) if (extended !== undefined) shift(extended, name, -sign * (pod.extended[name] ?? 0));
  const ports = snapshot.hostPorts[slot];
  for (const port of pod.hostPorts) if (ports !== undefined) shift(ports, port, sign);
  if (pod.ownerUid !== "") {
    const perNode = snapshot.podsOfOwner.get(pod.ownerUid) ?? new Map<number, number>();
    shift(perNode, slot, sign);
    if (perNode.size === 0) snapshot.podsOfOwner.delete(pod.ownerUid);
    else snapshot.podsOfOwner.set(pod.ownerUid, perNode);
  }
  for (const { namespace, requirement, perNode } of snapshot.spreadCounts.values()) {
    if (namespace === pod.namespace && matches(requirement.selector, pod.labels)) shift(perNode, slot, sign);
  }
}

function addTo(column: Float64Array, slot: number, amount: number): void {
  column[slot] = (column[slot] ?? 0) + amount;
}

function shift<K>(counts: Map<K, number>, key: K, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}
