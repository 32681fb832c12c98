// Which pods a Job that goes on is to get, and which are too many: pure.
import type { Job, Pod } from "../api/kinds/generated/types.ts";
import { isActive, isReady } from "./availability.ts";
import type { JobCounts } from "./job-count.ts";
import {
  endedAtMs,
  failedByItself,
  indexOf,
  isIndexed,
  isTerminating,
  type JobSlot,
  onlyReplacesFailed,
  podName,
} from "./job-pods.ts";
import { freeNames } from "./stable-name.ts";

export interface SlotPlan {
  readonly create: readonly JobSlot[];
  /** Too many: they go uncounted. */
  readonly remove: readonly Pod[];
  /** Until the next may be made, after failures. */
  readonly waitMs: number | undefined;
}

const createdAtOnceMax = 250;
const backoffFirstMs = 10_000;
const backoffMsMax = 600_000;

/** `isTaken` says whether a pod of that name is known. */
export function planSlots(
  job: Job,
  counts: JobCounts,
  pods: readonly Pod[],
  { nowMs, isTaken }: { readonly nowMs: number; readonly isTaken: (name: string) => boolean },
): SlotPlan {
  const active = pods.filter(isActive);
  const { remove, stay } = isIndexed(job) ? sortOut(job, counts, active) : { remove: [], stay: active };
  const wanted = wantedActive(job, counts, stay.length);
  const tooMany = leastMissed(stay).slice(0, Math.max(0, stay.length - wanted));
  const ending = onlyReplacesFailed(job) ? pods.filter(isTerminating) : [];
  const missing = Math.min(wanted - stay.length - ending.length, createdAtOnceMax);
  const removed = [...remove, ...tooMany];
  if (missing <= 0) return { create: [], remove: removed, waitMs: undefined };
  const { create, waitMs } = isIndexed(job)
    ? indexedSlots(job, counts, { stay: [...stay, ...ending], pods, missing, nowMs, isTaken })
    : plainSlots(job, pods, { missing, nowMs, isTaken });
  return { create, remove: removed, waitMs };
}

function wantedActive({ spec }: Job, { succeeded, failedIndexes }: JobCounts, active: number): number {
  const { parallelism = 1, completions } = spec ?? {};
  // A work queue's pods end together: once one has succeeded none is made.
  if (completions === undefined) return succeeded > 0 ? Math.min(active, parallelism) : parallelism;
  return Math.max(0, Math.min(parallelism, completions - succeeded - failedIndexes.size));
}

function plainSlots(
  job: Job,
  pods: readonly Pod[],
  { missing, nowMs, isTaken }: { missing: number; nowMs: number; isTaken: (name: string) => boolean },
): Pick<SlotPlan, "create" | "waitMs"> {
  const waitMs = backoffLeftMs(pods, nowMs);
  if (waitMs > 0) return { create: [], waitMs };
  const names = freeNames((ordinal) => podName(job, undefined, ordinal), isTaken);
  return { create: Array.from({ length: missing }, () => ({ name: names.next().value ?? "" })), waitMs: undefined };
}

function indexedSlots(
  job: Job,
  counts: JobCounts,
  {
    stay,
    pods,
    missing,
    nowMs,
    isTaken,
  }: {
    readonly stay: readonly Pod[];
    readonly pods: readonly Pod[];
    readonly missing: number;
    readonly nowMs: number;
    readonly isTaken: (name: string) => boolean;
  },
): Pick<SlotPlan, "create" | "waitMs"> {
  const { completions = 0, backoffLimitPerIndex } = job.spec ?? {};
  const busy = new Set(stay.map(indexOf));
  const ofIndex = Map.groupBy(pods, (pod) => indexOf(pod) ?? -1);
  // Without a limit of their own the indexes share one wait.
  const sharedMs = backoffLimitPerIndex === undefined ? backoffLeftMs(pods, nowMs) : 0;
  if (sharedMs > 0) return { create: [], waitMs: sharedMs };
  const create: JobSlot[] = [];
  const waits: number[] = [];
  for (let index = 0; index < completions && create.length < missing; index++) {
    if (busy.has(index) || counts.completedIndexes.has(index) || counts.failedIndexes.has(index)) continue;
    const leftMs = backoffLimitPerIndex === undefined ? 0 : backoffLeftMs(ofIndex.get(index) ?? [], nowMs);
    if (leftMs > 0) {
      waits.push(leftMs);
      continue;
    }
    const names = freeNames((ordinal) => podName(job, index, ordinal), isTaken);
    const failures = backoffLimitPerIndex === undefined ? {} : { failures: counts.failuresOfIndex.get(index) ?? 0 };
    create.push({ name: names.next().value ?? "", index, ...failures });
  }
  return { create, waitMs: waits.length === 0 ? undefined : Math.min(...waits) };
}

// One pod an index, of an index that is still wanted.
function sortOut(
  { spec }: Job,
  counts: JobCounts,
  active: readonly Pod[],
): { readonly remove: readonly Pod[]; readonly stay: readonly Pod[] } {
  const seen = new Set<number>();
  const remove: Pod[] = [];
  const stay: Pod[] = [];
  for (const pod of [...leastMissed(active)].reverse()) {
    const index = indexOf(pod);
    const isWanted =
      index !== undefined &&
      index < (spec?.completions ?? 0) &&
      !seen.has(index) &&
      !counts.completedIndexes.has(index) &&
      !counts.failedIndexes.has(index);
    if (isWanted) seen.add(index);
    (isWanted ? stay : remove).push(pod);
  }
  return { remove, stay };
}

/** 10 s after the first failure since the last success, then twice as long each time, up to ten minutes. */
export function backoffLeftMs(pods: readonly Pod[], nowMs: number): number {
  let lastSuccess = Number.NEGATIVE_INFINITY;
  for (const pod of pods) if (pod.status?.phase === "Succeeded") lastSuccess = Math.max(lastSuccess, endedAtMs(pod));
  let failures = 0;
  let lastFailure = Number.NEGATIVE_INFINITY;
  for (const pod of pods) {
    if (!failedByItself(pod) || endedAtMs(pod) <= lastSuccess) continue;
    failures++;
    lastFailure = Math.max(lastFailure, endedAtMs(pod));
  }
  if (failures === 0) return 0;
  const waitMs = Math.min(backoffMsMax, backoffFirstMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(0, lastFailure + waitMs - nowMs);
}

// First those that have done least.
function leastMissed(active: readonly Pod[]): readonly Pod[] {
  const rank = (pod: Pod) => [
    pod.spec?.nodeName === undefined ? 0 : 1,
    pod.status?.phase === "Running" ? 1 : 0,
    isReady(pod) ? 1 : 0,
    -Date.parse(pod.metadata?.creationTimestamp ?? ""),
  ];
  return active
    .map((pod) => ({ pod, rank: rank(pod) }))
    .sort((a, b) => {
      const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
      return at < 0 ? 0 : (a.rank[at] ?? 0) - (b.rank[at] ?? 0);
    })
    .map(({ pod }) => pod);
}
