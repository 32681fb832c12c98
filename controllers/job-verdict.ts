// Whether a Job is over, and why: pure.
// Source: Kubernetes documentation, "Jobs", sections on termination, backoff, deadlines, success policies.
import { isTrue } from "../api/kinds/conditions.ts";
import type { Job, Pod } from "../api/kinds/generated/types.ts";
import { countIndexes, type IndexRange, parseIndexes } from "../api/kinds/job-indexes.ts";
import { isActive } from "./availability.ts";
import type { JobCounts } from "./job-count.ts";
import { isIndexed } from "./job-pods.ts";

export interface JobVerdict {
  /** What stands in status until its last pods have ended: then Complete or Failed does. */
  readonly type: "SuccessCriteriaMet" | "FailureTarget";
  readonly reason: string;
  readonly message: string;
}

/** undefined: it goes on. */
export function judgeJob(job: Job, counts: JobCounts, pods: readonly Pod[], nowMs: number): JobVerdict | undefined {
  return standing(job) ?? failure(job, counts, pods, nowMs) ?? success(job, counts, pods);
}

/** Ms until the Job's deadline; undefined: it has none, or has not begun. */
export function deadlineInMs({ spec, status }: Job, nowMs: number): number | undefined {
  if (spec?.activeDeadlineSeconds === undefined || status?.startTime === undefined || spec.suspend === true) return;
  return Math.max(0, Date.parse(status.startTime) + spec.activeDeadlineSeconds * 1000 - nowMs);
}

// What has been said once holds.
function standing({ status }: Job): JobVerdict | undefined {
  for (const type of ["FailureTarget", "SuccessCriteriaMet"] as const) {
    const found = status?.conditions?.find((condition) => condition.type === type && condition.status === "True");
    if (found !== undefined) return { type, reason: found.reason ?? "", message: found.message ?? "" };
  }
  return undefined;
}

function failure(job: Job, counts: JobCounts, pods: readonly Pod[], nowMs: number): JobVerdict | undefined {
  const failed = (reason: string, message: string): JobVerdict => ({ type: "FailureTarget", reason, message });
  const { spec } = job;
  if (counts.failJob !== undefined) return failed("PodFailurePolicy", counts.failJob);
  if (deadlineInMs(job, nowMs) === 0)
    return failed("DeadlineExceeded", "Job was active longer than specified deadline");
  const limit = spec?.backoffLimit ?? 6;
  if (counts.failed > limit || restartsExceed(job, pods, limit)) {
    return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  if (!isIndexed(job)) return undefined;
  const { failedIndexes, completedIndexes } = counts;
  const { maxFailedIndexes, completions = 0 } = spec ?? {};
  if (maxFailedIndexes !== undefined && failedIndexes.size > maxFailedIndexes) {
    return failed("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
  }
  const isDone = failedIndexes.size > 0 && failedIndexes.size + completedIndexes.size >= completions;
  return isDone ? failed("FailedIndexes", "Job has failed indexes") : undefined;
}

// Containers that restart in their pod fail without the pod failing.
function restartsExceed({ spec }: Job, pods: readonly Pod[], limit: number): boolean {
  if (spec?.template.spec?.restartPolicy !== "OnFailure") return false;
  const restarts = pods
    .filter((pod) => isActive(pod) && (pod.status?.phase === "Running" || pod.status?.phase === "Pending"))
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

function success(job: Job, counts: JobCounts, pods: readonly Pod[]): JobVerdict | undefined {
  const rule = metRule(job, counts.completedIndexes);
  if (rule !== undefined) {
    return { type: "SuccessCriteriaMet", reason: "SuccessPolicy", message: `Matched rules at index ${rule}` };
  }
  const { completions } = job.spec ?? {};
  const active = pods.filter(isActive).length;
  // A work queue is done when one pod has found nothing more to do and all others have ended too.
  const isMet = completions === undefined ? counts.succeeded > 0 && active === 0 : counts.succeeded >= completions;
  if (!isMet) return undefined;
  const message = "Reached expected number of succeeded pods";
  return { type: "SuccessCriteriaMet", reason: "CompletionsReached", message };
}

function metRule({ spec }: Job, completed: ReadonlySet<number>): number | undefined {
  const found = (spec?.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    const ranges =
      succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes, Number.POSITIVE_INFINITY);
    if (typeof ranges === "string") return false;
    const met = ranges === undefined ? completed.size : countWithin(completed, ranges);
    return met >= (succeededCount ?? (ranges === undefined ? Number.POSITIVE_INFINITY : countIndexes(ranges)));
  });
  return found < 0 ? undefined : found;
}

function countWithin(indexes: ReadonlySet<number>, ranges: readonly IndexRange[]): number {
  return [...indexes].filter((index) => ranges.some(([from, to]) => from <= index && index <= to)).length;
}

/** Over for good: nothing of it changes any more. */
export function isOver({ status }: Job): boolean {
  return isTrue(status?.conditions, "Complete") || isTrue(status?.conditions, "Failed");
}
