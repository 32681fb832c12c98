// A container that the node does not know: never run here, or lost with an earlier life of the node. Pure.
import type { ContainerStatus, Pod } from "../../api/kinds/generated/types.ts";
import { containerId } from "./container-labels.ts";
import { type ContainerRecord, type ContainerRole, newContainer, type Termination } from "./pod-state.ts";

const lostMessage = "The container could not be located when the node started again";

/**
 * Counts on where the reported status left off. An ephemeral container is not run a second time, nor is what belongs to a pod that ended.
 * `allLost`: the node knows none of the pod's containers, so that the pod begins anew, init containers first.
 */
export function lostContainer(
  pod: Pod,
  { name, role }: { readonly name: string; readonly role: ContainerRole },
  { allLost, nowMs }: { readonly allLost: boolean; readonly nowMs: number },
): ContainerRecord {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  const status = all.find((each) => each.name === name);
  if (status === undefined) return newContainer(name, role);
  if ((status.containerID ?? "") === "") return newContainer(name, role, status.restartCount);
  const exit = lostRun(pod, status);
  const isOver = role === "ephemeral" || pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded";
  if (isOver)
    return { ...newContainer(name, role, status.restartCount), now: { phase: "Exited", exit, backoffNoted: false } };
  // When it ended nobody knows: it is noticed now.
  const finishedAtMs = status.state?.terminated === undefined ? nowMs : exit.finishedAtMs;
  return {
    ...newContainer(name, role, status.restartCount + 1),
    last: { ...exit, finishedAtMs },
    ...(allLost ? { again: "lost" as const } : {}),
  };
}

function lostRun(pod: Pod, { name, restartCount, state }: ContainerStatus): Termination {
  const { terminated, running } = state ?? {};
  const ms = (time: string | undefined) => (time === undefined ? 0 : Date.parse(time));
  return {
    id: containerId(pod.metadata?.uid ?? "", name, restartCount),
    exitCode: terminated?.exitCode ?? 137,
    reason: terminated?.reason ?? "ContainerStatusUnknown",
    message: terminated === undefined ? lostMessage : (terminated.message ?? ""),
    startedAtMs: ms(terminated?.startedAt ?? running?.startedAt),
    finishedAtMs: ms(terminated?.finishedAt ?? running?.startedAt),
  };
}
