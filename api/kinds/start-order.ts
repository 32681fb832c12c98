// Pods that start after others: what a pod waits for stands in an annotation of it, and a scheduling gate keeps it from a node until
// then. `depends_on` of Compose files becomes this.

import { conditionOf } from "./conditions.ts";
import type { OwnerReference, Pod } from "./generated/types.ts";
import { controllerOf } from "./owners.ts";

export const startAfterAnnotation = "naru.dev/start-after";
export const startAfterGate = "naru.dev/start-after";

export type DependencyCondition = "started" | "healthy" | "completed";

/** Pods of the same namespace that have these labels: one of them has to have come so far. */
export interface Dependency {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly condition: DependencyCondition;
}

/** The dependencies that a pod's annotation names; a reason when it cannot be read. */
export function parseDependencies(pod: Pod): readonly Dependency[] | string {
  const text = pod.metadata?.annotations?.[startAfterAnnotation];
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `annotation ${startAfterAnnotation} is no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (Array.isArray(value) && value.every(isDependency)) return value;
  return `annotation ${startAfterAnnotation} takes [{"matchLabels": {…}, "condition": "started" | "healthy" | "completed"}]`;
}

function isDependency(value: unknown): value is Dependency {
  if (typeof value !== "object" || value === null) return false;
  const { matchLabels, condition } = value as Partial<Record<string, unknown>>;
  return (
    typeof matchLabels === "object" &&
    matchLabels !== null &&
    Object.values(matchLabels).every((label) => typeof label === "string") &&
    (condition === "started" || condition === "healthy" || condition === "completed")
  );
}

/** Those that none of the pods fulfils yet. `pods` are the namespace's; a Job's count as completed when the Job is. */
export function openDependencies(
  dependencies: readonly Dependency[],
  pods: readonly Pod[],
  jobIsComplete: (owner: OwnerReference) => boolean,
): readonly Dependency[] {
  return dependencies.filter(
    ({ matchLabels, condition }) =>
      !pods.some(
        (pod) =>
          Object.entries(matchLabels).every(([key, value]) => pod.metadata?.labels?.[key] === value) &&
          isSoFar(pod, condition, jobIsComplete),
      ),
  );
}

function isSoFar(pod: Pod, condition: DependencyCondition, jobIsComplete: (owner: OwnerReference) => boolean): boolean {
  const phase = pod.status?.phase;
  switch (condition) {
    case "started":
      return phase === "Running" || phase === "Succeeded";
    case "healthy":
      return (
        pod.metadata?.deletionTimestamp === undefined && conditionOf(pod.status?.conditions, "Ready")?.status === "True"
      );
    case "completed": {
      const owner = controllerOf(pod);
      return phase === "Succeeded" && (owner?.kind !== "Job" || jobIsComplete(owner));
    }
  }
}
