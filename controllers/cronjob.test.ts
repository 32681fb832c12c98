import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { CronJob, CronJobSpec, CronJobStatus, Job } from "../api/kinds/generated/types.ts";
import { parseSchedule } from "../lib/cron.ts";
import { jobName, lastDue, planCronJob } from "./cronjob.ts";

const at = (text: string) => Date.parse(`2026-01-01T${text}Z`);
const nowMs = at("12:00:30");
const cronOf = (spec: Partial<CronJobSpec> = {}, status: CronJobStatus = {}): CronJob => ({
  metadata: { name: "tick", namespace: "default", creationTimestamp: "2026-01-01T11:00:00Z" },
  spec: { schedule: "*/5 * * * *", jobTemplate: {}, ...spec },
  status,
});
const jobOf = (dueMs: number, end?: "Complete" | "Failed"): Job => ({
  metadata: { name: jobName(cronOf(), dueMs), namespace: "default", uid: String(dueMs) },
  status: {
    startTime: new Date(dueMs).toISOString(),
    ...(end === "Complete" ? { completionTime: new Date(dueMs + 1000).toISOString().replace(".000", "") } : {}),
    conditions: end === undefined ? [] : [{ type: end, status: "True" }],
  },
});
const plan = (cron: CronJob, owned: readonly Job[] = []) => {
  const { startMs, remove, nextMs, refusal } = planCronJob(cron, owned, nowMs);
  return {
    start: startMs === undefined ? undefined : new Date(startMs).toISOString().slice(11, 19),
    remove: remove.map(({ metadata }) => metadata?.name),
    nextMs,
    refusal: refusal?.reason,
  };
};
const lastScheduleTime = "2026-01-01T11:55:00Z";
const idle = { start: undefined, remove: [], nextMs: 270_000, refusal: undefined };

test("planCronJob starts the last Job that is due, once, and not too late", () => {
  deepEqual(
    [
      plan(cronOf()),
      plan(cronOf({}, { lastScheduleTime: "2026-01-01T12:00:00Z" })),
      plan(cronOf({}, { lastScheduleTime }), [jobOf(at("12:00:00"))]),
      plan(cronOf({ startingDeadlineSeconds: 30 }, { lastScheduleTime })),
      plan(cronOf({ startingDeadlineSeconds: 20 }, { lastScheduleTime })),
      plan(cronOf({ suspend: true })),
      plan(cronOf({ schedule: "0 9 * * *", timeZone: "Asia/Seoul" })),
      plan(cronOf({ schedule: "0 21 * * *", timeZone: "Asia/Seoul" })).start,
    ],
    [
      { ...idle, start: "12:00:00" },
      idle,
      idle,
      { ...idle, start: "12:00:00" },
      idle,
      { ...idle, nextMs: undefined },
      { ...idle, nextMs: 43_170_000 },
      "12:00:00",
    ],
  );
});

test("planCronJob follows its policy while a Job runs", () => {
  const running = [jobOf(at("11:55:00"))];
  const by = (concurrencyPolicy: string) => {
    const { start, remove, refusal } = plan(cronOf({ concurrencyPolicy }, { lastScheduleTime }), running);
    return [start, remove, refusal];
  };
  deepEqual(
    [by("Allow"), by("Forbid"), by("Replace")],
    [
      ["12:00:00", [], undefined],
      [undefined, [], "JobAlreadyActive"],
      ["12:00:00", ["tick-29454475"], undefined],
    ],
  );
});

test("planCronJob keeps as many finished Jobs as its limits say, and tells which run and what succeeded last", () => {
  const minutes = [0, 5, 10, 15, 20, 25].map((minute) => at(`11:${String(minute).padStart(2, "0")}:00`));
  const owned = minutes.map((ms, i) => jobOf(ms, i === 5 ? undefined : i % 2 === 0 ? "Complete" : "Failed"));
  const cron = cronOf({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0, suspend: true });
  const { remove, status } = planCronJob(cron, owned, nowMs);
  deepEqual(
    {
      remove: remove.map(({ metadata }) => metadata?.uid),
      active: status.active?.map(({ name }) => name),
      status: status.lastSuccessfulTime,
    },
    {
      remove: [minutes[0], minutes[2], minutes[1], minutes[3]].map(String),
      active: [jobName(cron, minutes[5] ?? 0)],
      status: "2026-01-01T11:20:01Z",
    },
  );
});

test("lastDue looks back over years in few steps", () => {
  const asked: number[] = [];
  const yearly = parseSchedule("@yearly", undefined);
  if (typeof yearly === "string") throw new Error(yearly);
  const counting = {
    next: (ms: number) => {
      asked.push(ms);
      return yearly.next(ms);
    },
  };
  const due = lastDue(counting, Date.parse("2001-06-01T00:00:00Z"), Date.parse("2026-12-31T00:00:00Z"));
  deepEqual([new Date(due ?? 0).toISOString(), asked.length < 40], ["2026-01-01T00:00:00.000Z", true]);
});
