// A pod template's hash: the name that ReplicaSets of one Deployment differ by.
import type { PodTemplateSpec } from "./generated/types.ts";

export const podTemplateHashLabel = "pod-template-hash";

/** Equal for templates that are equal after defaulting, whatever the order of their fields; `collisions` from status.collisionCount. */
export function podTemplateHash(template: PodTemplateSpec, collisions = 0): string {
  throw new Error(`not done ${template} ${collisions}`);
}
