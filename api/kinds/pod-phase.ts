// What a pod's phase tells. Source: Kubernetes documentation, "Pod Lifecycle", pod phase.
import type { PodStatus } from "./generated/types.ts";

/** All its containers have ended and none comes back: it keeps its name and its status, and needs nothing of its node. */
export function hasEnded({ status }: { readonly status?: PodStatus | undefined }): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}
