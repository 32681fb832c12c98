import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobSpec, JobStatus, Pod, PodCondition } from "../api/kinds/generated/types.ts";
import { jobSpecDefaults } from "../api/kinds/job.ts";
import { timestamp } from "../lib/clock.ts";
import { jobPod, podName } from "./job-pods.ts";
import { planJob } from "./plan-job.ts";

const nowMs = Date.UTC(2026, 0, 1, 1);
const startTime = timestamp(nowMs - 60_000);

const jobOf = (spec: Partial<JobSpec> = {}, status: JobStatus = { startTime }): Job => ({
  metadata: { name: "pi", namespace: "default", uid: "u" },
  spec: jobSpecDefaults({ template: { spec: { containers: [{ name: "main" }], restartPolicy: "Never" } }, ...spec }),
  status,
});

interface PodFacts {
  readonly index?: number;
  readonly failures?: number;
  readonly phase?: string;
  readonly exitCode?: number;
  readonly endedSecondsAgo?: number;
  readonly ending?: boolean;
  readonly tracked?: boolean;
  readonly conditions?: readonly PodCondition[];
}
const podOf = (uid: string, facts: PodFacts = {}): Pod => {
  const { phase = "Running", exitCode = phase === "Failed" ? 1 : 0, endedSecondsAgo = 3600, tracked = true } = facts;
  const { index, failures } = facts;
  const made = jobPod(jobOf(), {
    name: uid,
    ...(index === undefined ? {} : { index }),
    ...(failures === undefined ? {} : { failures }),
  });
  const state =
    phase === "Succeeded" || phase === "Failed"
      ? { terminated: { exitCode, finishedAt: timestamp(nowMs - endedSecondsAgo * 1000) } }
      : { running: {} };
  return {
    ...made,
    metadata: {
      ...made.metadata,
      uid,
      creationTimestamp: startTime,
      ...(facts.ending === true ? { deletionTimestamp: timestamp(nowMs) } : {}),
      ...(tracked ? {} : { finalizers: [] }),
    },
    spec: { containers: [], nodeName: "n" },
    status: {
      phase,
      containerStatuses: [{ name: "main", image: "", imageID: "", ready: false, restartCount: 0, state }],
      conditions: facts.conditions ?? [],
    },
  };
};

const plan = (job: Job, pods: readonly Pod[] = []) => {
  const found = planJob({ job, pods, nowMs, isTaken: () => false });
  const uids = (list: readonly Pod[]) => list.map(({ metadata }) => metadata?.uid);
  return {
    create: found.create.map(({ index, failures }) =>
      [index ?? "-", ...(failures === undefined ? [] : [failures])].join(":"),
    ),
    release: uids(found.release),
    end: uids(found.end),
    remove: uids(found.remove),
    status: found.status,
    conditions: (found.status.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`),
    nextMs: found.nextMs,
  };
};
const made = (job: Job, pods: readonly Pod[] = []) => plan(job, pods).create.length;

test("planJob makes as many pods as may run at once and are still wanted", () => {
  const running = [podOf("a"), podOf("b")];
  deepEqual(
    [
      made(jobOf()),
      made(jobOf({ completions: 5, parallelism: 3 })),
      made(jobOf({ completions: 5, parallelism: 3 }), running),
      made(jobOf({ completions: 5, parallelism: 3 }, { startTime, succeeded: 3 }), running),
      made(jobOf({ parallelism: 3 }), running),
      made(jobOf({ parallelism: 3 }, { startTime, succeeded: 1 }), running),
      made(jobOf({ completions: 2, parallelism: 0 })),
    ],
    [1, 3, 1, 0, 1, 0, 0],
  );
});

test("planJob names pods by what they are for, so that a second decider makes the same", () => {
  const job = jobOf({ completions: 3, parallelism: 3 });
  const names = (taken: readonly string[]) =>
    planJob({ job, pods: [], nowMs, isTaken: (name) => taken.includes(name) }).create.map(({ name }) => name);
  const [first, second, third, fourth] = [0, 1, 2, 3].map((ordinal) => podName(job, undefined, ordinal));
  deepEqual(
    [names([]), names([second ?? ""])],
    [
      [first, second, third],
      [first, third, fourth],
    ],
  );
});

test("planJob notes what has ended, lets go of it, and counts it when the finalizer is seen to be gone", () => {
  const job = jobOf({ completions: 3, parallelism: 1, backoffLimit: 5 });
  const ended = [podOf("a", { phase: "Succeeded" }), podOf("b", { phase: "Failed" })];
  const noted = plan(job, ended);
  const again = plan({ ...job, status: noted.status }, ended);
  const [a, b] = ended.map((pod) => ({ ...pod, metadata: { ...pod.metadata, finalizers: [] } }));
  const half = plan({ ...job, status: noted.status }, [a ?? {}, ended[1] ?? {}]);
  const whole = plan({ ...job, status: noted.status }, [a ?? {}, b ?? {}]);
  const numbers = ({ release, status, create }: ReturnType<typeof plan>) => ({
    release,
    create: create.length,
    succeeded: status.succeeded ?? 0,
    failed: status.failed ?? 0,
    noted: status.uncountedTerminatedPods,
  });
  deepEqual([noted, again, half, whole].map(numbers), [
    { release: ["a", "b"], create: 1, succeeded: 0, failed: 0, noted: { succeeded: ["a"], failed: ["b"] } },
    { release: ["a", "b"], create: 1, succeeded: 0, failed: 0, noted: { succeeded: ["a"], failed: ["b"] } },
    { release: ["b"], create: 1, succeeded: 1, failed: 0, noted: { failed: ["b"] } },
    { release: [], create: 1, succeeded: 1, failed: 1, noted: {} },
  ]);
});

test("planJob is complete when enough have succeeded, and not before all is counted", () => {
  const pods = [podOf("a", { phase: "Succeeded" })];
  const noted = plan(jobOf(), pods);
  const counted = plan({ ...jobOf(), status: noted.status }, [podOf("a", { phase: "Succeeded", tracked: false })]);
  deepEqual(
    [noted.conditions, counted.conditions, counted.status.succeeded, counted.status.completionTime],
    [
      ["SuccessCriteriaMet=True CompletionsReached"],
      ["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"],
      1,
      timestamp(nowMs),
    ],
  );
});

test("planJob gives up beyond its limits, ends what runs, and has failed when that has ended", () => {
  const failed = jobOf({ backoffLimit: 1, completions: 3, parallelism: 2 }, { startTime, failed: 2 });
  const stopping = plan(failed, [podOf("a"), podOf("b", { ending: true })]);
  const stopped = plan({ ...failed, status: stopping.status }, []);
  const late = plan(jobOf({ activeDeadlineSeconds: 60 }), [podOf("a")]);
  const restarts = podOf("r");
  const [status] = restarts.status?.containerStatuses ?? [];
  const restarted = plan(
    jobOf({ template: { spec: { containers: [], restartPolicy: "OnFailure" } }, backoffLimit: 3 }),
    [
      {
        ...restarts,
        status: { ...restarts.status, containerStatuses: status === undefined ? [] : [{ ...status, restartCount: 3 }] },
      },
    ],
  );
  const shown = ({ end, conditions, create }: ReturnType<typeof plan>) => ({ end, conditions, create });
  const limit = "FailureTarget=True BackoffLimitExceeded";
  deepEqual([stopping, stopped, late, restarted].map(shown), [
    { end: ["a"], conditions: [limit], create: [] },
    { end: [], conditions: [limit, "Failed=True BackoffLimitExceeded"], create: [] },
    { end: ["a"], conditions: ["FailureTarget=True DeadlineExceeded"], create: [] },
    { end: ["r"], conditions: [limit], create: [] },
  ]);
  deepEqual(plan(jobOf({ activeDeadlineSeconds: 100 }), [podOf("a")]).nextMs, 40_000);
});

test("planJob waits longer after each failure since the last success, not after a lost node", () => {
  const job = jobOf({ completions: 3, parallelism: 1 });
  const failure = (uid: string, endedSecondsAgo: number, conditions: readonly PodCondition[] = []) =>
    podOf(uid, { phase: "Failed", endedSecondsAgo, conditions, tracked: false });
  const disrupted = [{ type: "DisruptionTarget", status: "True" }];
  const success = podOf("s", { phase: "Succeeded", endedSecondsAgo: 5, tracked: false });
  const shown = (pods: readonly Pod[]) => {
    const { create, nextMs } = plan(job, pods);
    return [create.length, nextMs];
  };
  deepEqual(
    [
      shown([failure("a", 4)]),
      shown([failure("a", 10)]),
      shown([failure("a", 30), failure("b", 10)]),
      shown([failure("a", 30), success, failure("b", 4)]),
      shown([failure("a", 1, disrupted)]),
    ],
    [
      [0, 6000],
      [1, undefined],
      [0, 10_000],
      [0, 6000],
      [1, undefined],
    ],
  );
});

test("planJob runs each index of an Indexed Job once, and again only when it has failed", () => {
  const job = jobOf({ completionMode: "Indexed", completions: 5, parallelism: 3 });
  const pods = [
    podOf("zero", { index: 0, phase: "Succeeded" }),
    podOf("one", { index: 1 }),
    podOf("one-again", { index: 1 }),
    podOf("two", { index: 2, phase: "Failed" }),
    podOf("beyond", { index: 7 }),
  ];
  const { create, remove, release, status } = plan(job, pods);
  deepEqual(
    { create, remove: [...remove].sort(), release, done: status.completedIndexes, succeeded: status.succeeded },
    { create: ["2", "3"], remove: ["beyond", "one"], release: ["zero", "two"], done: "0", succeeded: 1 },
  );
});

test("planJob fails an index beyond its own limit, and holds a failed pod until its index has another", () => {
  const job = jobOf({ completionMode: "Indexed", completions: 3, parallelism: 3, backoffLimitPerIndex: 1 });
  const first = podOf("first", { index: 0, failures: 0, phase: "Failed" });
  const waiting = plan(job, [first]);
  const replaced = plan({ ...job, status: waiting.status }, [first, podOf("second", { index: 0, failures: 1 })]);
  const last = plan(job, [podOf("second", { index: 0, failures: 1, phase: "Failed" })]);
  deepEqual(
    [
      [waiting.create, waiting.release, waiting.status.failedIndexes],
      [replaced.create, replaced.release, replaced.status.failedIndexes],
      [last.create, last.release, last.status.failedIndexes],
    ],
    [
      [["0:1", "1:0", "2:0"], [], ""],
      [["1:0", "2:0"], ["first"], ""],
      [["1:0", "2:0"], ["second"], "0"],
    ],
  );
  const all = jobOf(
    { completionMode: "Indexed", completions: 2, parallelism: 2, backoffLimitPerIndex: 0 },
    { startTime, completedIndexes: "0", failedIndexes: "1", succeeded: 1 },
  );
  const many = jobOf(
    { completionMode: "Indexed", completions: 9, parallelism: 2, backoffLimitPerIndex: 0, maxFailedIndexes: 1 },
    { startTime, failedIndexes: "1,5" },
  );
  deepEqual(
    [plan(all).conditions, plan(many).conditions],
    [
      ["FailureTarget=True FailedIndexes", "Failed=True FailedIndexes"],
      ["FailureTarget=True MaxFailedIndexesExceeded", "Failed=True MaxFailedIndexesExceeded"],
    ],
  );
});

test("planJob follows a pod failure policy: the first rule that fits decides", () => {
  const job = jobOf({
    podFailurePolicy: {
      rules: [
        { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
        { action: "FailJob", onExitCodes: { containerName: "main", operator: "In", values: [42] } },
        { action: "Count", onExitCodes: { operator: "NotIn", values: [42] } },
      ],
    },
  });
  const judged = (facts: PodFacts) => {
    const { status, conditions, release } = plan(job, [podOf("a", { phase: "Failed", ...facts })]);
    const message = status.conditions?.[0]?.message ?? "";
    return [status.uncountedTerminatedPods?.failed ?? [], conditions, message, release];
  };
  deepEqual(
    [
      judged({ conditions: [{ type: "DisruptionTarget", status: "True" }], exitCode: 42 }),
      judged({ exitCode: 42 }),
      judged({ exitCode: 1 }),
    ],
    [
      [[], [], "", ["a"]],
      [
        ["a"],
        ["FailureTarget=True PodFailurePolicy"],
        "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 1",
        ["a"],
      ],
      [["a"], [], "", ["a"]],
    ],
  );
});

test("planJob replaces a pod that ends at once, or with podReplacementPolicy Failed when it has ended", () => {
  const ending = [podOf("a", { ending: true })];
  const ended = [podOf("a", { ending: true, phase: "Failed" })];
  const shown = (podReplacementPolicy: string, pods: readonly Pod[]) => {
    const { create, status } = plan(jobOf({ podReplacementPolicy }), pods);
    return [create.length, status.uncountedTerminatedPods?.failed ?? [], status.terminating];
  };
  deepEqual(
    [shown("TerminatingOrFailed", ending), shown("Failed", ending), shown("Failed", ended)],
    [
      [1, ["a"], 1],
      [0, [], 1],
      [1, ["a"], 0],
    ],
  );
});

test("planJob succeeds early by its success policy, and ends what is not needed any more", () => {
  const job = jobOf(
    {
      completionMode: "Indexed",
      completions: 5,
      parallelism: 5,
      successPolicy: { rules: [{ succeededIndexes: "3-4" }, { succeededIndexes: "0-2", succeededCount: 2 }] },
    },
    { startTime, completedIndexes: "0,3" },
  );
  const before = plan(job, [podOf("one", { index: 1 })]);
  const { end, conditions, status } = plan(job, [
    podOf("one", { index: 1 }),
    podOf("two", { index: 2, phase: "Succeeded" }),
  ]);
  deepEqual(
    [before.conditions, end, conditions, status.conditions?.[0]?.message],
    [[], ["one"], ["SuccessCriteriaMet=True SuccessPolicy"], "Matched rules at index 1"],
  );
});

test("planJob suspends and goes on with a fresh start time, uncounted", () => {
  const paused = plan(jobOf({ suspend: true }), [podOf("a")]);
  const resumed = plan(jobOf({}, paused.status), []);
  const conditions = [{ type: "Suspended", status: "True" }];
  deepEqual(
    [
      [paused.remove, paused.release, paused.conditions, paused.status.startTime],
      [resumed.create, resumed.conditions, resumed.status.startTime],
      plan(jobOf({ suspend: true, activeDeadlineSeconds: 1 }, { startTime, conditions }), []).conditions,
    ],
    [
      [["a"], [], ["Suspended=True JobSuspended"], undefined],
      [["-"], ["Suspended=False JobResumed"], timestamp(nowMs)],
      ["Suspended=True undefined"],
    ],
  );
});

test("planJob lets a finished Job go when its time to live has passed", () => {
  const over = (secondsAgo: number) =>
    jobOf(
      { ttlSecondsAfterFinished: 10 },
      { conditions: [{ type: "Complete", status: "True", lastTransitionTime: timestamp(nowMs - secondsAgo * 1000) }] },
    );
  const shown = (job: Job) => {
    const { expired, nextMs } = planJob({ job, pods: [], nowMs, isTaken: () => false });
    return [expired, nextMs];
  };
  deepEqual(
    [shown(over(4)), shown(over(10))],
    [
      [false, 6000],
      [true, undefined],
    ],
  );
});
