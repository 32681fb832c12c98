// A container that the node does not know: never run here, or lost with an earlier life of the node. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { containerId } from "./container-labels.ts";
import { type ContainerRecord, type ContainerRole, newContainer } from "./pod-state.ts";

const lostMessage = "The container could not be located when the node started again";

/** Counts on where the reported status left off. An ephemeral container is not run a second time, nor is what belongs to a pod that ended. */
export function lostContainer(pod: Pod, name: string, role: ContainerRole): ContainerRecord {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  const status = all.find((each) => each.name === name);
  if (status === undefined) return newContainer(name, role);
  if ((status.containerID ?? "") === "") return newContainer(name, role, status.restartCount);
  const isOver = role === "ephemeral" || pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded";
  if (!isOver) return newContainer(name, role, status.restartCount + 1);
  const { terminated, running } = status.state ?? {};
  const ms = (time: string | undefined) => (time === undefined ? 0 : Date.parse(time));
  const exit = {
    id: containerId(pod.metadata?.uid ?? "", name, status.restartCount),
    exitCode: terminated?.exitCode ?? 137,
    reason: terminated?.reason ?? "ContainerStatusUnknown",
    message: terminated === undefined ? lostMessage : (terminated.message ?? ""),
    startedAtMs: ms(terminated?.startedAt ?? running?.startedAt),
    finishedAtMs: ms(terminated?.finishedAt ?? running?.startedAt),
  };
  return { ...newContainer(name, role, status.restartCount), now: { phase: "Exited", exit, backoffNoted: false } };
}
