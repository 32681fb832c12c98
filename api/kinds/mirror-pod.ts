// Mirror pods: what the API shows of a pod that a node runs by a file of its own. The node made them, so nothing may be had by them.
import type { Pod } from "./generated/types.ts";

/** Holds the static pod's own uid. */
export const mirrorAnnotation = "kubernetes.io/config.mirror";

/** The uid of the static pod that an object of the API mirrors; undefined for every other pod. */
export function mirrored(pod: Pod): string | undefined {
  return pod.metadata?.annotations?.[mirrorAnnotation];
}
