// Where pods have their cgroups: guaranteed ones at the top, the others in one group per class, so that all pods that asked for nothing
// together get what is left. Pure. Source: Kubernetes, "Pod Quality of Service Classes", and the kubelet's cgroups per class.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { podCpuMilli, qosClass, sharesOf } from "./resource-limits.ts";

/** The groups that there always are. */
export type QosGroup = "burstable" | "besteffort";

export function podCgroup(pod: Pod): string {
  const name = `pod${pod.metadata?.uid ?? ""}`;
  const group = groupOf(pod);
  return group === undefined ? name : `${group}/${name}`;
}

/** What each group weighs beside guaranteed pods: burstable ones ask for something together, the others for nothing. */
export function groupShares(pods: readonly Pod[]): Readonly<Record<QosGroup, number>> {
  const burstable = pods.filter((pod) => groupOf(pod) === "burstable");
  return { burstable: sharesOf(burstable.reduce((sum, pod) => sum + podCpuMilli(pod), 0)), besteffort: sharesOf(0) };
}

function groupOf(pod: Pod): QosGroup | undefined {
  switch (qosClass(pod)) {
    case "Guaranteed":
      return undefined;
    case "Burstable":
      return "burstable";
    case "BestEffort":
      return "besteffort";
  }
}
