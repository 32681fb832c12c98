// How many of a Job's pods have succeeded and failed, so that none is missed and none counted twice: pure.
// A pod that has ended is first noted by its uid in status, then loses its finalizer, and only when that is seen it moves into the
// numbers. Whoever stops anywhere between can go on from what is stored.
// Source: Kubernetes documentation, "Job tracking with finalizers".
import type { Job, Pod } from "../api/kinds/generated/types.ts";
import { readIndexes } from "../api/kinds/job-indexes.ts";
import { isActive } from "./availability.ts";
import { judgeFailure } from "./job-failures.ts";
import { failuresBefore, hasFailed, indexOf, isIndexed, isTracked } from "./job-pods.ts";

export interface JobCounts {
  /** With those that are noted and not yet in the stored numbers. */
  readonly succeeded: number;
  readonly failed: number;
  /** What status says of them. */
  readonly stored: { readonly succeeded: number; readonly failed: number };
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] };
  /** Of Indexed Jobs. */
  readonly completedIndexes: ReadonlySet<number>;
  readonly failedIndexes: ReadonlySet<number>;
  /** By index: how often it has failed, with backoffLimitPerIndex. */
  readonly failuresOfIndex: ReadonlyMap<number, number>;
  /** Pods that may lose their finalizer once the status is stored. */
  readonly release: readonly Pod[];
  /** Pods that keep it until their index has a new pod, for the number of its failures stands on them alone. */
  readonly hold: readonly Pod[];
  /** Why a pod failure policy ends the Job. */
  readonly failJob: string | undefined;
}

// Status is one object of bounded size: the rest is noted in the next pass.
const notedAtOnceMax = 500;

export function countPods(job: Job, pods: readonly Pod[]): JobCounts {
  const { status = {}, spec } = job;
  const indexed = isIndexed(job);
  const completions = spec?.completions ?? 0;
  const inRange = (index: number | undefined): index is number => index !== undefined && index < completions;
  const tracked = pods.filter(isTracked);
  const trackedUids = new Set(tracked.map(uidOf));
  const noted = {
    succeeded: status.uncountedTerminatedPods?.succeeded ?? [],
    failed: status.uncountedTerminatedPods?.failed ?? [],
  };
  const succeeded = noted.succeeded.filter((uid) => trackedUids.has(uid));
  const failed = noted.failed.filter((uid) => trackedUids.has(uid));
  const stored = {
    succeeded: (status.succeeded ?? 0) + noted.succeeded.length - succeeded.length,
    failed: (status.failed ?? 0) + noted.failed.length - failed.length,
  };
  const completed = new Set(readIndexes(status.completedIndexes, completions));
  const failedIndexes = new Set(readIndexes(status.failedIndexes, completions));
  const failuresOfIndex = new Map<number, number>();
  const perIndex = spec?.backoffLimitPerIndex;
  const known = new Set([...succeeded, ...failed]);
  const release: Pod[] = [];
  let failJob: string | undefined;
  let room = notedAtOnceMax;

  for (const pod of tracked) {
    const uid = uidOf(pod);
    const index = indexed ? indexOf(pod) : undefined;
    if (pod.status?.phase === "Succeeded") {
      if (known.has(uid) || room-- > 0) release.push(pod);
      else continue;
      if (known.has(uid)) continue;
      if (!indexed) succeeded.push(uid);
      else if (inRange(index)) completed.add(index);
      continue;
    }
    if (!hasFailed(pod, job)) continue;
    const verdict = judgeFailure(job, pod);
    if (verdict.action === "FailJob") failJob ??= verdict.message;
    const counts = verdict.action !== "Ignore" && (!indexed || inRange(index));
    if (perIndex !== undefined && inRange(index)) {
      const failures = failuresBefore(pod) + (counts ? 1 : 0);
      failuresOfIndex.set(index, Math.max(failures, failuresOfIndex.get(index) ?? 0));
      if (verdict.action === "FailIndex" || failures > perIndex) failedIndexes.add(index);
    }
    if (!counts || known.has(uid)) release.push(pod);
    else if (room-- > 0) {
      failed.push(uid);
      release.push(pod);
    }
  }
  const isHeld = (pod: Pod) => perIndex !== undefined && isNewestFailure(pod, pods, completed, failedIndexes);
  return {
    stored: { ...stored, ...(indexed ? { succeeded: completed.size } : {}) },
    succeeded: indexed ? completed.size : stored.succeeded + succeeded.length,
    failed: stored.failed + failed.length,
    uncounted: { succeeded, failed },
    completedIndexes: completed,
    failedIndexes,
    failuresOfIndex,
    release: release.filter((pod) => !isHeld(pod)),
    hold: release.filter(isHeld),
    failJob,
  };
}

function isNewestFailure(
  pod: Pod,
  pods: readonly Pod[],
  completed: ReadonlySet<number>,
  failed: ReadonlySet<number>,
): boolean {
  const index = indexOf(pod);
  if (pod.status?.phase === "Succeeded" || index === undefined || completed.has(index) || failed.has(index))
    return false;
  return !pods.some(
    (other) =>
      other !== pod && indexOf(other) === index && (isActive(other) || failuresBefore(other) > failuresBefore(pod)),
  );
}

function uidOf({ metadata }: Pod): string {
  return metadata?.uid ?? "";
}
