// What keeps a namespace that is being deleted, in Kubernetes' words. Pure.
import { setCondition } from "../api/kinds/conditions.ts";
import type { NamespaceCondition } from "../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";

export interface Remaining {
  readonly resource: Resource;
  readonly items: readonly KubeObject[];
}

export function remainingConditions(
  before: readonly NamespaceCondition[] | undefined,
  remaining: readonly Remaining[],
  nowMs: number,
): readonly NamespaceCondition[] {
  const finalizers = new Map<string, number>();
  for (const { metadata } of remaining.flatMap(({ items }) => items))
    for (const name of metadata?.finalizers ?? []) finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
  const kept = remaining
    .filter(({ items }) => items.length > 0)
    .map(({ resource, items }) => `${nameOf(resource)} has ${items.length} resource instances`);
  const held = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`);
  const content: NamespaceCondition = {
    ...{ type: "NamespaceContentRemaining", status: "True", reason: "SomeResourcesRemain" },
    message: `Some resources are remaining: ${kept.join(", ")}`,
  };
  const finalizing: NamespaceCondition =
    held.length > 0
      ? {
          ...{ type: "NamespaceFinalizersRemaining", status: "True", reason: "SomeFinalizersRemain" },
          message: `Some content in the namespace has finalizers remaining: ${held.join(", ")}`,
        }
      : {
          ...{ type: "NamespaceFinalizersRemaining", status: "False", reason: "ContentHasNoFinalizers" },
          message: "All content-preserving finalizers finished",
        };
  return setCondition(setCondition(before, content, nowMs), finalizing, nowMs);
}

/** "pods.", "deployments.apps" */
function nameOf({ resource, group }: Resource): string {
  return `${resource}.${group}`;
}
