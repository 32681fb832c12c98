// Whether a pod that comes to the node fits it: the scheduler saw to that, but what it saw may have been old, and who names a node in a
// pod asks no scheduler. Pure.
// Source: Kubernetes, the kubelet's admission of pods (pkg/kubelet/lifecycle/predicate.go): its reasons and words.
import type { Node, Pod } from "../../api/kinds/generated/types.ts";
import { wantsNode } from "../../api/kinds/node-fit.ts";
import { totalRequests } from "../../api/kinds/pod-requests.ts";

export interface Rejection {
  readonly reason: string;
  readonly message: string;
}

export interface NodeRoom {
  /** The node's own object, as far as the server has told of it. */
  readonly object: Node | undefined;
  /** What it offers by resource, as amountOf counts; "pods": how many. */
  readonly allocatable: Readonly<Record<string, number>>;
}

/** `others`: the pods that have room here already, with what they have. */
export function roomRefusal(
  pod: Pod,
  others: readonly Pod[],
  { object, allocatable }: NodeRoom,
): Rejection | undefined {
  if (pod.spec === undefined) return undefined;
  if (object !== undefined && !wantsNode(pod.spec, object))
    return { reason: "NodeAffinity", message: "Predicate NodeAffinity failed" };
  const podsMax = allocatable["pods"] ?? Number.POSITIVE_INFINITY;
  if (others.length + 1 > podsMax) return shortOf("pods", 1, { used: others.length, capacity: podsMax });
  const asked = Object.entries(totalRequests(pod.spec)).filter(([, amount]) => amount > 0);
  for (const [resource, requested] of asked) {
    const capacity = allocatable[resource];
    // What the node does not know of is the scheduler's to judge.
    if (capacity === undefined) continue;
    const used = others.reduce(
      (sum, { spec }) => sum + (spec === undefined ? 0 : (totalRequests(spec)[resource] ?? 0)),
      0,
    );
    if (used + requested > capacity) return shortOf(resource, requested, { used, capacity });
  }
  return undefined;
}

function shortOf(
  resource: string,
  requested: number,
  { used, capacity }: { readonly used: number; readonly capacity: number },
): Rejection {
  return {
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  };
}
