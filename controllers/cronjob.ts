// Starts Jobs by the clock, and clears away those that are over.
import { cronjobs, jobs } from "../api/kinds/generated/resources.ts";
import type { CronJob, CronJobStatus, Job, ObjectReference } from "../api/kinds/generated/types.ts";
import { finishedAs } from "../api/kinds/job.ts";
import { controllerReference, isControlledBy } from "../api/kinds/owners.ts";
import { equal } from "../api/kinds/schema/patch-json.ts";
import { isReason } from "../api/kinds/status.ts";
import { timestamp } from "../lib/clock.ts";
import { parseSchedule, type Schedule } from "../lib/cron.ts";
import { byOwner, ownerKeys, type StartController } from "./context.ts";

export interface CronPlan {
  /** When the Job to start now was due, ms since the epoch. */
  readonly startMs: number | undefined;
  readonly remove: readonly Job[];
  readonly status: CronJobStatus;
  /** Until the next time, or until something else is to be done. */
  readonly nextMs: number | undefined;
  /** Why a Job that is due does not start. */
  readonly refusal: { readonly reason: string; readonly message: string } | undefined;
}

const scheduledAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/** `owned`: the Jobs that it has started. */
export function planCronJob(cron: CronJob, owned: readonly Job[], nowMs: number): CronPlan {
  const schedule = parseSchedule(cron.spec?.schedule ?? "", cron.spec?.timeZone);
  const active = owned.filter((job) => finishedAs(job) === undefined);
  const base = {
    status: statusOf(cron, owned, active),
    remove: beyondHistory(cron, owned),
    startMs: undefined,
    nextMs: undefined,
    refusal: undefined,
  };
  if (typeof schedule === "string") return { ...base, refusal: { reason: "UnparseableSchedule", message: schedule } };
  if (cron.spec?.suspend === true) return base;
  const upcoming = schedule.next(nowMs);
  const later = { ...base, nextMs: upcoming === undefined ? undefined : upcoming - nowMs };
  const dueMs = lastDue(schedule, dueSince(cron, nowMs), nowMs);
  if (dueMs === undefined || owned.some((job) => job.metadata?.name === jobName(cron, dueMs))) return later;
  switch (active.length === 0 ? "Allow" : cron.spec?.concurrencyPolicy) {
    case "Forbid": {
      const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
      return { ...later, refusal: { reason: "JobAlreadyActive", message } };
    }
    case "Replace":
      return { ...later, startMs: dueMs, remove: [...new Set([...base.remove, ...active])] };
    default:
      return { ...later, startMs: dueMs };
  }
}

/** "backup-29467440": the minute that it was due, so that it is started once however often that is decided. */
export function jobName({ metadata }: CronJob, dueMs: number): string {
  return `${metadata?.name}-${Math.floor(dueMs / 60_000)}`;
}

export const startCronJobController: StartController = (context) => {
  const { client, informers, recorder, clock } = context;

  const reconcile = async (key: string) => {
    const cron = informers.cronJobs.get(key);
    if (cron === undefined || cron.metadata?.deletionTimestamp !== undefined) return undefined;
    const owned = informers.jobs
      .byIndex(byOwner, cron.metadata?.uid ?? "")
      .filter((job) => isControlledBy(job, cron) && job.metadata?.deletionTimestamp === undefined);
    const plan = planCronJob(cron, owned, clock.now());
    for (const job of plan.remove) await removeJob(cron, job);
    if (plan.startMs !== undefined) await startJob(cron, plan.startMs);
    const status =
      plan.startMs === undefined ? plan.status : { ...plan.status, lastScheduleTime: timestamp(plan.startMs) };
    if (!equal(cron.status ?? {}, status)) await client.updateStatus(cronjobs, { ...cron, status });
    if (plan.refusal !== undefined) record(cron, "Normal", plan.refusal.reason, plan.refusal.message);
    return plan.nextMs === undefined ? undefined : { afterMs: Math.max(1, Math.min(plan.nextMs, lookEveryMs)) };
  };

  const startJob = async (cron: CronJob, dueMs: number): Promise<void> => {
    const name = jobName(cron, dueMs);
    try {
      await client.create(jobs, cronJobsJob(cron, dueMs));
    } catch (error) {
      // An earlier pass has made it, and the cache does not show it yet.
      if (isReason(error, "AlreadyExists")) return;
      const why = error instanceof Error ? error.message : String(error);
      record(cron, "Warning", "FailedCreate", `Error creating job: ${why}`);
      throw error;
    }
    record(cron, "Normal", "SuccessfulCreate", `Created job ${name}`);
  };

  const removeJob = async (cron: CronJob, { metadata }: Job): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = metadata ?? {};
    const options = { propagationPolicy: "Background", preconditions: { uid } };
    await client.delete(jobs, { namespace, name }, options).catch((error: unknown) => {
      if (!isReason(error, "NotFound", "Conflict")) throw error;
    });
    record(cron, "Normal", "SuccessfulDelete", `Deleted job ${name}`);
  };

  const record = (cron: CronJob, type: "Normal" | "Warning", reason: string, message: string) =>
    recorder.record({ resource: cronjobs, object: cron }, type, reason, message);

  const loop = context.loop({ name: "cronjob", reconcile, concurrency: 2 });
  informers.cronJobs.onChange((key) => loop.add(key));
  informers.jobs.onChange((_, job, previous) => {
    for (const key of ownerKeys("CronJob", job, previous)) loop.add(key);
  });
  return loop;
};

// The machine's clock may be set: nobody relies on a wait of days.
const lookEveryMs = 60_000;

export function cronJobsJob(cron: CronJob, dueMs: number): Job {
  const { metadata, spec } = cron.spec?.jobTemplate ?? {};
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      ...metadata,
      namespace: cron.metadata?.namespace ?? "",
      name: jobName(cron, dueMs),
      annotations: { ...metadata?.annotations, [scheduledAnnotation]: timestamp(dueMs) },
      ownerReferences: [controllerReference(cronjobs, cron)],
    },
    ...(spec === undefined ? {} : { spec }),
  };
}

function dueSince({ metadata, spec, status }: CronJob, nowMs: number): number {
  const sinceMs = Date.parse(status?.lastScheduleTime ?? metadata?.creationTimestamp ?? "");
  if (spec?.startingDeadlineSeconds === undefined) return sinceMs;
  return Math.max(sinceMs, nowMs - spec.startingDeadlineSeconds * 1000 - 1);
}

/** The last time of a schedule after `sinceMs` and not after `nowMs`; looks back in growing steps, so that years cost no more than minutes. */
export function lastDue(schedule: Schedule, sinceMs: number, nowMs: number): number | undefined {
  for (let backMs = 60_000; ; backMs *= 2) {
    const fromMs = Math.max(sinceMs, nowMs - backMs);
    let found: number | undefined;
    for (let atMs = schedule.next(fromMs); atMs !== undefined && atMs <= nowMs; atMs = schedule.next(atMs))
      found = atMs;
    if (found !== undefined || fromMs === sinceMs || Number.isNaN(fromMs)) return found;
  }
}

function statusOf({ status }: CronJob, owned: readonly Job[], active: readonly Job[]): CronJobStatus {
  const ends = owned
    .filter((job) => finishedAs(job) === "Complete")
    .map((job) => job.status?.completionTime ?? "")
    .concat(status?.lastSuccessfulTime ?? "")
    .sort();
  const last = ends.at(-1) ?? "";
  return {
    ...(active.length === 0
      ? {}
      : { active: active.map(referenceTo).sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1)) }),
    ...(status?.lastScheduleTime === undefined ? {} : { lastScheduleTime: status.lastScheduleTime }),
    ...(last === "" ? {} : { lastSuccessfulTime: last }),
  };
}

function referenceTo({ metadata }: Job): ObjectReference {
  const { name = "", namespace = "", uid = "" } = metadata ?? {};
  return { apiVersion: "batch/v1", kind: "Job", name, namespace, uid };
}

function beyondHistory({ spec }: CronJob, owned: readonly Job[]): readonly Job[] {
  const beyond = (type: "Complete" | "Failed", limit: number) => {
    const ended = owned.filter((job) => finishedAs(job) === type).sort((a, b) => startedMs(a) - startedMs(b));
    return ended.slice(0, Math.max(0, ended.length - limit));
  };
  return [
    ...beyond("Complete", spec?.successfulJobsHistoryLimit ?? 3),
    ...beyond("Failed", spec?.failedJobsHistoryLimit ?? 1),
  ];
}

function startedMs({ metadata, status }: Job): number {
  return Date.parse(status?.startTime ?? metadata?.creationTimestamp ?? "");
}
