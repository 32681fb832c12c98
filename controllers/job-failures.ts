// What a failed pod means for its Job: its pod failure policy. Pure.
// Source: Kubernetes documentation, "Handling retriable and non-retriable pod failures with Pod failure policy".
import type { ContainerStatus, Job, Pod, PodFailurePolicyRule } from "../api/kinds/generated/types.ts";
import { keyOf } from "../api/kinds/resource.ts";

export type FailureVerdict =
  | { readonly action: "Count" | "Ignore" | "FailIndex" }
  | { readonly action: "FailJob"; readonly message: string };

/** The first rule that fits decides; without one the failure counts. */
export function judgeFailure({ spec }: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (spec?.podFailurePolicy?.rules ?? []).entries()) {
    const why = whyItFits(rule, pod);
    if (why === undefined) continue;
    switch (rule.action) {
      case "FailJob":
        return { action: "FailJob", message: `${why} matching FailJob rule at index ${index}` };
      case "Ignore":
      case "FailIndex":
        return { action: rule.action };
      default:
        return { action: "Count" };
    }
  }
  return { action: "Count" };
}

function whyItFits({ onExitCodes, onPodConditions = [] }: PodFailurePolicyRule, pod: Pod): string | undefined {
  if (onExitCodes === undefined) {
    const found = onPodConditions.find(({ type, status = "True" }) =>
      pod.status?.conditions?.some((condition) => condition.type === type && condition.status === status),
    );
    return found === undefined ? undefined : `Pod ${keyOf(pod)} has condition ${found.type}`;
  }
  const { containerName, operator, values } = onExitCodes;
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const found = [...initContainerStatuses, ...containerStatuses].find((status) => {
    const exitCode = exitCodeOf(status);
    if (exitCode === undefined || exitCode === 0) return false;
    if (containerName !== undefined && status.name !== containerName) return false;
    return values.includes(exitCode) === (operator === "In");
  });
  return found === undefined
    ? undefined
    : `Container ${found.name} for pod ${keyOf(pod)} failed with exit code ${exitCodeOf(found)}`;
}

function exitCodeOf({ state }: ContainerStatus): number | undefined {
  return state?.terminated?.exitCode;
}
