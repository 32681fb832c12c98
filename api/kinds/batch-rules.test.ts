// What users get wrong with DaemonSets, Jobs and CronJobs, what they are told, and what is filled in for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cronjobKind } from "./cronjob.ts";
import { daemonsetKind } from "./daemonset.ts";
import type { CronJobSpec, DaemonSetSpec, Job, JobSpec } from "./generated/types.ts";
import { jobKind } from "./job.ts";
import type { FieldError, Kind } from "./kind.ts";
import type { KubeObject } from "./resource.ts";

const context = {
  nowMs: 0,
  allocate: {
    clusterIp: () => {
      throw new Error("not here");
    },
    nodePort: () => {
      throw new Error("not here");
    },
  },
};
const words = (errors: readonly FieldError[] = []) => errors.map(({ field, message }) => `${field}: ${message}`);
/** Errors of an object as it would be stored. */
function errorsOf<T extends KubeObject>(kind: Kind<T>, object: T): readonly string[] {
  const filled = kind.defaults?.(object) ?? object;
  return words(kind.validate?.(kind.prepareCreate?.(filled, context) ?? filled));
}

const template = { spec: { restartPolicy: "Never", containers: [{ name: "main", image: "a" }] } };
const jobOf = (spec: Partial<JobSpec>): Job => ({ metadata: { name: "pi", uid: "u" }, spec: { template, ...spec } });
const stored = (spec: Partial<JobSpec>): Job => {
  const filled = jobKind.defaults?.(jobOf(spec)) ?? {};
  return jobKind.prepareCreate?.(filled, context) ?? filled;
};

test("jobKind fills in what Kubernetes does, and labels by which its pods are its own", () => {
  const { spec } = stored({});
  assert.deepEqual(
    { ...spec, template: spec?.template.metadata?.labels },
    {
      template: {
        "batch.kubernetes.io/controller-uid": "u",
        "controller-uid": "u",
        "batch.kubernetes.io/job-name": "pi",
        "job-name": "pi",
      },
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      completionMode: "NonIndexed",
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: "TerminatingOrFailed",
      selector: { matchLabels: { "batch.kubernetes.io/controller-uid": "u" } },
    },
  );
  assert.deepEqual(
    [stored({ parallelism: 2 }).spec?.completions, stored({ completions: 2 }).spec?.parallelism],
    [undefined, 1],
  );
});

const jobs: readonly (readonly [string, Partial<JobSpec>, readonly string[]])[] = [
  [
    "pods that go on for ever",
    { template: { spec: { containers: template.spec.containers } } },
    ['spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: "Never", "OnFailure"'],
  ],
  [
    "numbers below nothing",
    { parallelism: -1 },
    ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"],
  ],
  [
    "indexes without completions, or without being Indexed",
    { completionMode: "Indexed", parallelism: 2 },
    ["spec.completions: Required value: when completion mode is Indexed"],
  ],
  [
    "limits per index without indexes",
    { backoffLimitPerIndex: 1 },
    ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
  ],
  [
    "a failure policy that contradicts itself",
    {
      podFailurePolicy: {
        rules: [
          { action: "FailIndex", onExitCodes: { operator: "In", values: [0, 2, 1] } },
          { action: "Ignore" },
          { action: "Stop", onExitCodes: { containerName: "other", operator: "NotIn", values: [] } },
        ],
      },
    },
    [
      'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
      "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
      "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,2,1]: must be ordered",
      'spec.podFailurePolicy.rules[1]: Invalid value: "": specifying one of OnExitCodes and OnPodConditions is required',
      'spec.podFailurePolicy.rules[2].action: Unsupported value: "Stop": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
      'spec.podFailurePolicy.rules[2].onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template',
      "spec.podFailurePolicy.rules[2].onExitCodes.values: Invalid value: []: at least one value is required",
    ],
  ],
  [
    "a success policy beyond its indexes",
    {
      completionMode: "Indexed",
      completions: 3,
      successPolicy: { rules: [{ succeededIndexes: "0-3" }, { succeededIndexes: "0,2", succeededCount: 3 }, {}] },
    },
    [
      'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0-3": index 3 is not below completions (3)',
      "spec.successPolicy.rules[1].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in succeededIndexes)",
      "spec.successPolicy.rules[2]: Required value: at least one of succeededCount or succeededIndexes must be specified",
    ],
  ],
];
for (const [name, spec, expected] of jobs) {
  test(`jobKind.validate judges ${name}`, () => assert.deepEqual(errorsOf(jobKind, jobOf(spec)), expected));
}

test("jobKind.validateUpdate lets limits change, and the template only while nothing has begun", () => {
  const other = { spec: { ...template.spec, nodeSelector: { disk: "ssd" } } };
  const image = { spec: { ...template.spec, containers: [{ name: "main", image: "b" }] } };
  const judged = (now: Partial<JobSpec>, before: Partial<JobSpec>, status: Job["status"] = {}) =>
    words(jobKind.validateUpdate?.(stored(now), { ...stored(before), status })).map((text) => text.split(":")[0]);
  const indexed = (completions: number, parallelism: number) => ({
    completionMode: "Indexed",
    completions,
    parallelism,
  });
  assert.deepEqual(
    [
      judged({ parallelism: 5, completions: 1, backoffLimit: 1 }, {}),
      judged({ completions: 2 }, {}),
      judged(indexed(4, 4), indexed(3, 3)),
      judged(indexed(4, 2), indexed(3, 2)),
      judged({ template: other }, {}),
      judged({ template: other, suspend: true }, { suspend: true }),
      judged({ template: image, suspend: true }, { suspend: true }),
      judged({ template: other, suspend: true }, { suspend: true }, { startTime: "2026-01-01T00:00:00Z" }),
      judged({ completionMode: "Indexed", completions: 1 }, {}),
    ],
    [
      [],
      ["spec.completions"],
      [],
      ["spec.completions"],
      ["spec.template"],
      [],
      ["spec.template"],
      ["spec.template"],
      ["spec.completionMode"],
    ],
  );
});

test("cronjobKind.validate judges schedules, zones and names, and the Job within", () => {
  const cronOf = (spec: Partial<CronJobSpec>, name = "tick") =>
    errorsOf(cronjobKind, {
      metadata: { name },
      spec: { schedule: "* * * * *", jobTemplate: { spec: { template } }, ...spec },
    });
  assert.deepEqual(
    [
      cronOf({}),
      cronOf({ schedule: "@every 5m", timeZone: "Asia/Seoul" }),
      cronOf({ schedule: "* * *", timeZone: "Mars" }),
      cronOf({ jobTemplate: { spec: { template, parallelism: -1 } }, concurrencyPolicy: "Skip" }),
      cronOf({}, "t".repeat(53)),
    ],
    [
      [],
      [],
      [
        'spec.schedule: Invalid value: "* * *": expected exactly 5 fields: minute, hour, day of month, month, day of week',
        'spec.timeZone: Invalid value: "Mars": unknown time zone Mars',
      ],
      [
        'spec.concurrencyPolicy: Unsupported value: "Skip": supported values: "Allow", "Forbid", "Replace"',
        "spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
      ],
      [`metadata.name: Invalid value: "${"t".repeat(53)}": must be no more than 52 characters`],
    ],
  );
});

test("daemonsetKind.validate judges its update strategy and its pods", () => {
  const labels = { app: "log" };
  const forever = { metadata: { labels }, spec: { containers: [{ name: "main", image: "a" }] } };
  const setOf = (spec: Partial<DaemonSetSpec>) =>
    errorsOf(daemonsetKind, {
      metadata: { name: "log" },
      spec: { selector: { matchLabels: labels }, template: forever, ...spec },
    });
  const rolling = (rollingUpdate: object) => setOf({ updateStrategy: { type: "RollingUpdate", rollingUpdate } });
  const path = "spec.updateStrategy.rollingUpdate";
  assert.deepEqual(
    [
      setOf({}),
      rolling({ maxSurge: 1 }),
      rolling({ maxSurge: "10%", maxUnavailable: 1 }),
      rolling({ maxSurge: 0, maxUnavailable: 0 }),
      rolling({ maxUnavailable: "101%" }),
      setOf({ updateStrategy: { type: "Recreate" } }),
      setOf({ template: { ...forever, spec: { ...forever.spec, restartPolicy: "Never", activeDeadlineSeconds: 5 } } }),
    ],
    [
      [],
      [],
      [`${path}.maxSurge: Invalid value: "10%": may not be set when maxUnavailable is non-zero`],
      [`${path}.maxUnavailable: Invalid value: 0: cannot be 0 when maxSurge is 0`],
      [`${path}.maxUnavailable: Invalid value: "101%": must not be greater than 100%`],
      ['spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "OnDelete", "RollingUpdate"'],
      [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        "spec.template.spec.activeDeadlineSeconds: Forbidden: pods that go on for ever have no deadline",
      ],
    ],
  );
});
