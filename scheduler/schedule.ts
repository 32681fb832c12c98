// Chooses a node for a pod: pure, over a snapshot. Filters say which nodes can take it, scores say which of those is best.
import type { Check, Profile, Refusal } from "./plugin.ts";
import type { PodRequirements } from "./requirements.ts";
import type { Snapshot } from "./snapshot.ts";

export type Decision =
  | { readonly type: "bind"; readonly node: string }
  /** `message` tells every node's reason: "0/3 nodes fit: 2 need …; 1 is tainted …". */
  | { readonly type: "unschedulable"; readonly message: string };

// Looking on for the very best of thousands costs more than it gains: a tenth of the nodes is enough to choose from.
const scoredNodesMin = 100;
const scoredNodesShare = 0.1;

/** `start` (any whole number) turns the order of nodes, so that equal nodes take turns. */
export function schedule(pod: PodRequirements, snapshot: Snapshot, profile: Profile, start: number): Decision {
  if (pod.onlyNode !== undefined) return scheduleOnly(pod, snapshot, profile);
  const byClass = fitsOfClass(pod, snapshot, profile);
  const checks = profile.filters
    .filter(({ looksAt }) => looksAt === "use")
    .map((filter) => filter.prepare(pod, snapshot))
    .filter((check) => check !== undefined);
  const candidates = findCandidates(snapshot, byClass, checks, start);
  if (candidates.length === 0) return { type: "unschedulable", message: explain(pod, snapshot, profile) };
  return { type: "bind", node: snapshot.names[best(pod, snapshot, profile, candidates)] ?? "" };
}

// Pods that are for one node each would be a class each.
function scheduleOnly(pod: PodRequirements, snapshot: Snapshot, profile: Profile): Decision {
  const slot = snapshot.slotOf.get(pod.onlyNode ?? "");
  const checks = profile.filters.map((filter) => filter.prepare(pod, snapshot)).filter((check) => check !== undefined);
  if (slot !== undefined && fitsAll(checks, slot)) return { type: "bind", node: snapshot.names[slot] ?? "" };
  return { type: "unschedulable", message: explain(pod, snapshot, profile) };
}

/** "0/3 nodes fit: 2 need 500m CPU, have 200m free; 1 is tainted a=b:NoSchedule": every node counted once, by its first refusal. */
export function explain(pod: PodRequirements, snapshot: Snapshot, profile: Profile): string {
  const checks = profile.filters.map((filter) => filter.prepare(pod, snapshot)).filter((check) => check !== undefined);
  const groups = new Map<string, { nodes: number; mostFree: number; say: Refusal["say"] }>();
  for (const slot of snapshot.slotOf.values()) {
    const refusal = checks.find((check) => !check.fits(slot))?.refuse(slot);
    if (refusal === undefined) continue;
    const group = groups.get(refusal.group) ?? { nodes: 0, mostFree: 0, say: refusal.say };
    group.nodes++;
    group.mostFree = Math.max(group.mostFree, refusal.free ?? 0);
    groups.set(refusal.group, group);
  }
  const total = snapshot.slotOf.size;
  if (total === 0) return "0/0 nodes fit: the cluster has no nodes yet";
  const reasons = [...groups.values()]
    .sort((a, b) => b.nodes - a.nodes)
    .map(({ nodes, mostFree, say }) => `${nodes} ${say(nodes, mostFree)}`);
  return `0/${total} nodes fit: ${reasons.join("; ")}`;
}

// What a node's own labels and taints allow is found once for all equal pods and kept until a node's description changes.
function fitsOfClass(pod: PodRequirements, snapshot: Snapshot, profile: Profile): Uint8Array {
  const known = snapshot.classFits.get(pod.classKey);
  if (known?.version === snapshot.descriptionVersion) return known.fits;
  const checks = profile.filters
    .filter(({ looksAt }) => looksAt === "description")
    .map((filter) => filter.prepare(pod, snapshot))
    .filter((check) => check !== undefined);
  const fits = new Uint8Array(snapshot.size);
  for (const slot of snapshot.slotOf.values()) fits[slot] = checks.every((check) => check.fits(slot)) ? 1 : 0;
  if (snapshot.classFits.size >= classesMax) snapshot.classFits.clear();
  snapshot.classFits.set(pod.classKey, { version: snapshot.descriptionVersion, fits });
  return fits;
}

const classesMax = 1000;

function findCandidates(
  snapshot: Snapshot,
  byClass: Uint8Array,
  checks: readonly Check[],
  start: number,
): readonly number[] {
  const { size } = snapshot;
  const wanted = Math.max(scoredNodesMin, Math.ceil(size * scoredNodesShare));
  const candidates: number[] = [];
  for (let i = 0, slot = size === 0 ? 0 : start % size; i < size && candidates.length < wanted; i++) {
    if (byClass[slot] === 1 && fitsAll(checks, slot)) candidates.push(slot);
    slot = slot + 1 === size ? 0 : slot + 1;
  }
  return candidates;
}

function fitsAll(checks: readonly Check[], slot: number): boolean {
  for (const check of checks) if (!check.fits(slot)) return false;
  return true;
}

function best(pod: PodRequirements, snapshot: Snapshot, profile: Profile, candidates: readonly number[]): number {
  const scores = profile.scores
    .map(({ weight, prepare }) => ({ weight, score: prepare(pod, snapshot) }))
    .filter((one): one is { weight: number; score: (slot: number) => number } => one.score !== undefined);
  let bestSlot = candidates[0] ?? 0;
  let bestTotal = Number.NEGATIVE_INFINITY;
  for (const slot of candidates) {
    let total = 0;
    for (const { weight, score } of scores) total += weight * score(slot);
    if (total > bestTotal) {
      bestTotal = total;
      bestSlot = slot;
    }
  }
  return bestSlot;
}
