// What a node under pressure does, decided purely: which thresholds are passed, what the node says of it, and who goes first.
// Source: Kubernetes documentation, "Node-pressure Eviction", and the kubelet's order of pods.
import { canonicalQuantity } from "../../api/kinds/schema/quantity.ts";
import {
  minOf,
  type Observation,
  type Observations,
  reliefOf,
  resourceOf,
  type Signal,
  type Threshold,
} from "./thresholds.ts";

export type Pressure = "MemoryPressure" | "DiskPressure" | "PIDPressure";
export type ScarceResource = ReturnType<typeof resourceOf>;

/** What has to be known from before. */
export interface PressureMemory {
  /** By threshold: since when it is passed. */
  readonly passedSinceMs: ReadonlyMap<Threshold, number>;
  /** About these something was done, and they are not over yet. */
  readonly acted: ReadonlySet<Threshold>;
  /** By condition: when a threshold of it was last passed, and which. */
  readonly lastSeen: ReadonlyMap<Pressure, { readonly atMs: number; readonly threshold: Threshold }>;
}

export interface Passed {
  readonly threshold: Threshold;
  readonly observation: Observation;
}

export const noPressure: PressureMemory = { passedSinceMs: new Map(), acted: new Set(), lastSeen: new Map() };

/** A pod with what it uses of the one resource that runs short. */
export interface Candidate {
  readonly uid: string;
  readonly priority: number;
  /** Static pods and what the cluster itself needs: never evicted. */
  readonly isCritical: boolean;
  readonly used: number;
  readonly requested: number;
  readonly containers: readonly { readonly name: string; readonly used: number; readonly requested: number }[];
}

/** Which thresholds are passed for as long as they allow, and the conditions that follow. */
export function lookAtPressure(
  before: PressureMemory,
  observations: Observations,
  options: {
    readonly thresholds: readonly Threshold[];
    /** A condition stays so long after its threshold was last passed, so that it does not flap. */
    readonly transitionMs: number;
    readonly nowMs: number;
  },
): { readonly passed: readonly Passed[]; readonly memory: PressureMemory } {
  const { thresholds, transitionMs, nowMs } = options;
  const below = thresholds.flatMap((threshold): readonly Passed[] => {
    const observation = observations[threshold.signal];
    if (observation === undefined) return [];
    const end = before.acted.has(threshold) ? reliefOf(threshold, observation) : minOf(threshold, observation);
    return observation.available < end ? [{ threshold, observation }] : [];
  });
  const passedSinceMs = new Map(
    below.map(({ threshold }) => [threshold, before.passedSinceMs.get(threshold) ?? nowMs] as const),
  );
  const passed = below.filter(({ threshold }) => nowMs - (passedSinceMs.get(threshold) ?? nowMs) >= threshold.graceMs);
  const lastSeen = new Map([...before.lastSeen].filter(([, { atMs }]) => nowMs - atMs < transitionMs));
  for (const { threshold } of passed.toReversed())
    lastSeen.set(pressureOf(threshold.signal), { atMs: nowMs, threshold });
  const acted = new Set(passed.map(({ threshold }) => threshold));
  return { passed: passed.toSorted(memoryFirst), memory: { passedSinceMs, acted, lastSeen } };
}

/** Of one resource, whoever goes first: over its request before within, lower priority first, then who is furthest over. */
export function rankForEviction(resource: ScarceResource, candidates: readonly Candidate[]): readonly Candidate[] {
  const over = ({ used, requested }: Candidate) => used - requested;
  const exceeds = (pod: Candidate) => (over(pod) > 0 ? 0 : 1);
  return candidates
    .filter(({ isCritical }) => !isCritical)
    .toSorted(
      (a, b) =>
        // Nobody can request processes.
        (resource === "pids" ? 0 : exceeds(a) - exceeds(b)) ||
        a.priority - b.priority ||
        over(b) - over(a) ||
        (a.uid < b.uid ? -1 : 1),
    );
}

/** What a pod gets to end by itself; undefined: hardly any time. A soft threshold leaves time, up to `graceMsMax`. */
export function evictionGraceMs({ threshold }: Passed, podGraceMs: number, graceMsMax: number): number | undefined {
  return threshold.graceMs === 0 || graceMsMax === 0 ? undefined : Math.min(podGraceMs, graceMsMax);
}

/** In the kubelet's words, which dashboards and people search for. */
export function evictionMessage({ threshold, observation }: Passed, pod: Candidate): string {
  const resource = resourceOf(threshold.signal);
  const amount = (count: number) =>
    resource === "memory" || resource === "ephemeral-storage" ? bytesText(count) : String(Math.floor(count));
  const containers = pod.containers
    .filter(({ used, requested }) => used > requested)
    .map(
      ({ name, used, requested }) =>
        `Container ${name} was using ${amount(used)}, request is ${amount(requested)}, has larger consumption of ${resource}. `,
    );
  const min = amount(minOf(threshold, observation));
  return `The node was low on resource: ${resource}. Threshold quantity: ${min}, available: ${amount(observation.available)}. ${containers.join("")}`;
}

/** Why a pod that has just come cannot stay; undefined: it can. */
export function admissionRefusal(
  pressures: Iterable<Pressure>,
  pod: { readonly isCritical: boolean; readonly isBestEffort: boolean; readonly toleratesMemoryPressure: boolean },
): string | undefined {
  const now = [...pressures];
  if (now.length === 0 || pod.isCritical) return undefined;
  const onlyMemory = now.every((pressure) => pressure === "MemoryPressure");
  if (onlyMemory && (!pod.isBestEffort || pod.toleratesMemoryPressure)) return undefined;
  return `The node had condition: [${now.join(" ")}]. `;
}

export function pressureOf(signal: Signal): Pressure {
  switch (resourceOf(signal)) {
    case "memory":
      return "MemoryPressure";
    case "pids":
      return "PIDPressure";
    case "ephemeral-storage":
    case "inodes":
      return "DiskPressure";
  }
}

// Without memory nothing else can be done either.
function memoryFirst(a: Passed, b: Passed): number {
  const rank = ({ threshold }: Passed) => (threshold.signal === "memory.available" ? 0 : 1);
  return rank(a) - rank(b);
}

/** As Kubernetes writes binary quantities: the largest unit that divides them. */
function bytesText(count: number): string {
  return canonicalQuantity(`${Math.floor(Math.max(0, count) / 1024)}Ki`);
}
