// One look at a Job: what its status is to say, and what is to be done with its pods. Pure.
import { setCondition } from "../api/kinds/conditions.ts";
import type { Job, JobCondition, JobStatus, Pod } from "../api/kinds/generated/types.ts";
import { formatIndexes } from "../api/kinds/job-indexes.ts";
import { timestamp } from "../lib/clock.ts";
import { isActive, isReady } from "./availability.ts";
import { countPods, type JobCounts } from "./job-count.ts";
import { isIndexed, isTerminating, isTracked, type JobSlot } from "./job-pods.ts";
import { planSlots } from "./job-slots.ts";
import { deadlineInMs, isOver, type JobVerdict, judgeJob } from "./job-verdict.ts";

export interface JobPlan {
  /** To be stored before anything else is done. */
  readonly status: JobStatus;
  /** Pods that are counted: their finalizer goes. */
  readonly release: readonly Pod[];
  /** Pods that go and are counted as failed where they have not ended. */
  readonly end: readonly Pod[];
  /** Pods that go uncounted. */
  readonly remove: readonly Pod[];
  readonly create: readonly JobSlot[];
  readonly expired: boolean;
  /** Until something is to be done without anything having changed. */
  readonly nextMs: number | undefined;
  /** What users are told. */
  readonly events: readonly JobEvent[];
}

export interface JobEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface JobState {
  readonly job: Job;
  /** Its own, of every state. */
  readonly pods: readonly Pod[];
  readonly nowMs: number;
  readonly isTaken: (name: string) => boolean;
}

const nothing = { release: [], end: [], remove: [], create: [], expired: false, nextMs: undefined, events: [] };

export function planJob({ job, pods, nowMs, isTaken }: JobState): JobPlan {
  if (isOver(job)) return planOver(job, pods, nowMs);
  const counts = countPods(job, pods);
  const verdict = judgeJob(job, counts, pods, nowMs);
  const base = statusOf(job, counts, pods);
  if (verdict !== undefined) return planEnd({ job, pods, nowMs, counts, verdict, base });
  if (job.spec?.suspend === true) return planSuspended({ job, pods, nowMs, counts, base });
  const isResumed =
    job.status?.conditions?.some(({ type, status }) => type === "Suspended" && status === "True") === true;
  const slots = planSlots(job, counts, pods, { nowMs, isTaken });
  const conditions = isResumed
    ? withCondition(
        base.conditions,
        { type: "Suspended", status: "False", reason: "JobResumed", message: "Job resumed" },
        nowMs,
      )
    : base.conditions;
  const status = withConditions({ ...base, startTime: base.startTime ?? timestamp(nowMs) }, conditions);
  return {
    ...nothing,
    status,
    release: counts.release,
    remove: slots.remove,
    create: slots.create,
    nextMs: soonest(deadlineInMs({ ...job, status }, nowMs), slots.waitMs),
    events: isResumed ? [{ type: "Normal", reason: "Resumed", message: "Job resumed" }] : [],
  };
}

interface Judged {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly nowMs: number;
  readonly counts: JobCounts;
  readonly base: JobStatus;
}

// What is over stays as it is, until its time to live has passed. Pods that are still there lose their finalizer.
function planOver(job: Job, pods: readonly Pod[], nowMs: number): JobPlan {
  const done = { ...nothing, status: job.status ?? {}, release: pods.filter(isTracked), end: pods.filter(isActive) };
  const ttlSeconds = job.spec?.ttlSecondsAfterFinished;
  if (ttlSeconds === undefined) return done;
  const ended = job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  const leftMs = Date.parse(ended?.lastTransitionTime ?? "") + ttlSeconds * 1000 - nowMs;
  return leftMs <= 0 ? { ...done, expired: true } : { ...done, nextMs: leftMs };
}

// First what still runs is ended; when all has ended and is counted, the Job is over.
function planEnd({ job, pods, nowMs, counts, verdict, base }: Judged & { readonly verdict: JobVerdict }): JobPlan {
  const { type, reason, message } = verdict;
  const end = pods.filter(isActive);
  const noted = withCondition(base.conditions, { type, status: "True", reason, message }, nowMs);
  const startTime = base.startTime ?? timestamp(nowMs);
  const isCounted = counts.uncounted.succeeded.length + counts.uncounted.failed.length === 0;
  const isStill = end.length === 0 && !pods.some(isTerminating) && isCounted;
  const release = [...counts.release, ...counts.hold];
  if (!isStill) {
    return { ...nothing, status: withConditions({ ...base, startTime }, noted), release, end };
  }
  const isComplete = type === "SuccessCriteriaMet";
  const final = { type: isComplete ? "Complete" : "Failed", status: "True", reason, message };
  const status = withConditions(
    { ...base, startTime, ...(isComplete ? { completionTime: timestamp(nowMs) } : {}) },
    withCondition(noted, final, nowMs),
  );
  const event: JobEvent = isComplete
    ? { type: "Normal", reason: "Completed", message: "Job completed" }
    : { type: "Warning", reason, message };
  const ttlSeconds = job.spec?.ttlSecondsAfterFinished;
  return {
    ...nothing,
    status,
    release,
    events: [event],
    nextMs: ttlSeconds === undefined ? undefined : ttlSeconds * 1000,
  };
}

function planSuspended({ job, pods, nowMs, counts, base }: Judged): JobPlan {
  const isNew = job.status?.conditions?.some(({ type, status }) => type === "Suspended" && status === "True") !== true;
  const suspended = { type: "Suspended", status: "True", reason: "JobSuspended", message: "Job suspended" };
  const { startTime: _, ...rest } = base;
  return {
    ...nothing,
    status: withConditions(rest, isNew ? withCondition(base.conditions, suspended, nowMs) : base.conditions),
    release: counts.release,
    remove: pods.filter(isActive),
    events: isNew ? [{ type: "Normal", reason: "Suspended", message: "Job suspended" }] : [],
  };
}

function statusOf(job: Job, counts: JobCounts, pods: readonly Pod[]): JobStatus {
  const { stored, uncounted } = counts;
  const { conditions, startTime } = job.status ?? {};
  const active = pods.filter(isActive);
  const indexed = isIndexed(job);
  const { completedIndexes, failedIndexes } = counts;
  return {
    ...(startTime === undefined ? {} : { startTime }),
    ...(conditions === undefined ? {} : { conditions }),
    ...given({ active: active.length, succeeded: stored.succeeded, failed: stored.failed }),
    ready: active.filter(isReady).length,
    terminating: pods.filter(isTerminating).length,
    uncountedTerminatedPods: {
      ...(uncounted.succeeded.length === 0 ? {} : { succeeded: uncounted.succeeded }),
      ...(uncounted.failed.length === 0 ? {} : { failed: uncounted.failed }),
    },
    ...(indexed && completedIndexes.size > 0 ? { completedIndexes: formatIndexes(completedIndexes) } : {}),
    ...(indexed && job.spec?.backoffLimitPerIndex !== undefined ? { failedIndexes: formatIndexes(failedIndexes) } : {}),
  };
}

/** Numbers that are 0 are left out, as Kubernetes does. */
function given(numbers: Readonly<Record<string, number>>): JobStatus {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value > 0));
}

function withCondition(
  conditions: readonly JobCondition[] | undefined,
  wanted: JobCondition,
  nowMs: number,
): readonly JobCondition[] {
  const old = conditions?.find(({ type }) => type === wanted.type);
  if (old?.status === wanted.status) return conditions ?? [];
  return setCondition<JobCondition>(conditions, { ...wanted, lastProbeTime: timestamp(nowMs) }, nowMs);
}

function withConditions(status: JobStatus, conditions: readonly JobCondition[] | undefined): JobStatus {
  return conditions === undefined ? status : { ...status, conditions };
}

function soonest(...waits: readonly (number | undefined)[]): number | undefined {
  const known = waits.filter((ms) => ms !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
