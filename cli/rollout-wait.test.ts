import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { DaemonSetStatus, Deployment, DeploymentStatus } from "../api/kinds/generated/types.ts";
import { daemonRolloutState, rolloutState } from "./rollout-wait.ts";

const deployment = (status: DeploymentStatus): Deployment => ({
  metadata: { name: "web", generation: 2 },
  spec: { replicas: 3, selector: {}, template: {} },
  status: { observedGeneration: 2, ...status },
});

test("rolloutState tells each stage in kubectl's words, then nothing", () => {
  const stages: readonly (readonly [DeploymentStatus, string | undefined])[] = [
    [{ observedGeneration: 1 }, "Waiting for deployment spec update to be observed..."],
    [
      { updatedReplicas: 1 },
      'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...',
    ],
    [
      { updatedReplicas: 3, replicas: 4 },
      'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...',
    ],
    [
      { updatedReplicas: 3, replicas: 3, availableReplicas: 2 },
      'Waiting for deployment "web" rollout to finish: 2 of 3 updated replicas are available...',
    ],
    [{ updatedReplicas: 3, replicas: 3, availableReplicas: 3 }, undefined],
  ];
  for (const [status, words] of stages) equal(rolloutState(deployment(status)), words);
});

test("rolloutState throws when the deadline has passed", () => {
  const late = deployment({
    conditions: [{ type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded" }],
  });
  throws(() => rolloutState(late), /exceeded its progress deadline/);
});

test("daemonRolloutState tells each stage in kubectl's words, then nothing", () => {
  const of = (status: Partial<DaemonSetStatus>) =>
    daemonRolloutState({
      metadata: { name: "log", generation: 2 },
      spec: { selector: {}, template: {} },
      status: {
        ...{ currentNumberScheduled: 3, numberMisscheduled: 0, desiredNumberScheduled: 3, numberReady: 3 },
        observedGeneration: 2,
        ...status,
      },
    });
  deepEqual(
    [
      of({ observedGeneration: 1 }),
      of({ updatedNumberScheduled: 1 }),
      of({ updatedNumberScheduled: 3, numberAvailable: 2 }),
      of({ updatedNumberScheduled: 3, numberAvailable: 3 }),
    ],
    [
      "Waiting for daemon set spec update to be observed...",
      'Waiting for daemon set "log" rollout to finish: 1 out of 3 new pods have been updated...',
      'Waiting for daemon set "log" rollout to finish: 2 of 3 updated pods are available...',
      undefined,
    ],
  );
});
