// Why a pod waits, in one line.
import { conditionOf } from "../api/kinds/conditions.ts";
import type { ContainerStatus, Pod } from "../api/kinds/generated/types.ts";

/** Why it has no node, or what its first container that waits says; "" when nothing is known to hold it up. */
export function whyNotReady({ status = {} }: Pod): string {
  const scheduled = conditionOf(status.conditions, "PodScheduled");
  if (scheduled?.status === "False") return scheduled.message ?? "";
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const held = containers.find(({ state }) => state?.waiting?.message !== undefined);
  if (held === undefined) return status.message ?? "";
  return `container ${held.name}: ${held.state?.waiting?.message}${endingText(held)}`;
}

function endingText({ lastState }: ContainerStatus): string {
  if (lastState?.terminated === undefined) return "";
  const { reason, exitCode, message } = lastState.terminated;
  const words = [reason, `exit code ${exitCode}`, message?.trim()].filter((word) => word !== undefined && word !== "");
  return `; it ended before: ${words.join(", ")}`;
}
