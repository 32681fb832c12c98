// What a pod's status says at each station of its life: phase, conditions, and the states of its containers.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import { type ContainerPhase, containersOf, newContainer, type PodState } from "./pod-state.ts";
import { podStatus } from "./pod-status.ts";

const nowMs = Date.parse("2026-01-01T00:01:00Z");
const waiting: ContainerPhase = { phase: "Waiting", reason: "", message: "", retryAtMs: 0 };
const running: ContainerPhase = {
  phase: "Running",
  id: "x",
  startedAtMs: 0,
  image: "i",
  started: true,
  ready: true,
  unhealthy: undefined,
};
const exited = (exitCode: number): ContainerPhase => ({
  phase: "Exited",
  exit: {
    id: "x",
    exitCode,
    reason: exitCode === 0 ? "Completed" : "Error",
    message: "",
    startedAtMs: 0,
    finishedAtMs: 0,
  },
  backoffNoted: true,
});
const finished = (outcome: "Succeeded" | "Failed", reason = ""): PodState => ({
  phase: "Finished",
  outcome,
  reason,
  message: reason === "" ? "" : "words",
  leftovers: "gone",
});

interface Station {
  readonly title: string;
  readonly state: PodState;
  readonly phases: readonly ContainerPhase[];
  readonly spec?: Partial<PodSpec>;
  readonly says: readonly string[];
}

const init: Partial<PodSpec> = { initContainers: [{ name: "i", image: "i" }], restartPolicy: "Never" };

const stations: readonly Station[] = [
  {
    title: "before its set-up",
    state: { phase: "SettingUp" },
    phases: [waiting],
    says: [
      "Pending",
      "a: ContainerCreating",
      "PodReadyToStartContainers=False",
      "Initialized=True",
      "Ready=False ContainersNotReady",
      "ContainersReady=False ContainersNotReady",
      "PodScheduled=True",
    ],
  },
  {
    title: "while init containers run",
    state: { phase: "Up" },
    spec: init,
    phases: [running, waiting],
    says: [
      "Pending",
      "i: running",
      "a: PodInitializing",
      "PodReadyToStartContainers=True",
      "Initialized=False ContainersNotInitialized",
      "Ready=False ContainersNotReady",
      "ContainersReady=False ContainersNotReady",
      "PodScheduled=True",
    ],
  },
  {
    title: "when all is well",
    state: { phase: "Up" },
    phases: [running],
    says: [
      "Running",
      "a: running",
      "PodReadyToStartContainers=True",
      "Initialized=True",
      "Ready=True",
      "ContainersReady=True",
      "PodScheduled=True",
    ],
  },
  {
    title: "with a closed readiness gate and a debugger that ended",
    state: { phase: "Up" },
    spec: { readinessGates: [{ conditionType: "g" }], ephemeralContainers: [{ name: "d", image: "i" }] },
    phases: [running, exited(1)],
    says: [
      "Running",
      "a: running",
      "d: Error",
      "PodReadyToStartContainers=True",
      "Initialized=True",
      "Ready=False ReadinessGatesNotReady",
      "ContainersReady=True",
      "PodScheduled=True",
    ],
  },
  {
    title: "of a container that crashes",
    state: { phase: "Up" },
    phases: [exited(1)],
    says: [
      "Running",
      "a: CrashLoopBackOff",
      "PodReadyToStartContainers=True",
      "Initialized=True",
      "Ready=False ContainersNotReady",
      "ContainersReady=False ContainersNotReady",
      "PodScheduled=True",
    ],
  },
  {
    title: "after success",
    state: finished("Succeeded"),
    phases: [exited(0)],
    says: [
      "Succeeded",
      "a: Completed",
      "PodReadyToStartContainers=False",
      "Initialized=True PodCompleted",
      "Ready=False PodCompleted",
      "ContainersReady=False PodCompleted",
      "PodScheduled=True",
    ],
  },
  {
    title: "after its eviction",
    state: finished("Failed", "Evicted"),
    phases: [exited(137)],
    says: [
      "Failed Evicted",
      "a: Error",
      "PodReadyToStartContainers=False",
      "Initialized=True",
      "Ready=False PodFailed",
      "ContainersReady=False PodFailed",
      "PodScheduled=True",
      "DisruptionTarget=True TerminationByKubelet",
    ],
  },
];

for (const { title, state, phases, spec = {}, says } of stations) {
  test(`podStatus says how a pod is ${title}`, () => {
    const pod: Pod = { metadata: { name: "p", uid: "u" }, spec: { containers: [{ name: "a", image: "i" }], ...spec } };
    const containers = containersOf(pod).map(({ container, role }, index) => ({
      ...newContainer(container.name, role),
      now: phases[index] ?? waiting,
    }));
    const wanted = { pod, intent: { do: "run" } } as const;
    const imageOf = () => ({ name: "", pinned: "" });
    const common = { previous: {}, startedAtMs: 0, ips: ["10.0.0.2"], hostIp: "192.0.2.1", imageOf };
    const status = podStatus({ state, wanted, containers, ...common }, nowMs);
    const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = status;
    assert.deepEqual(
      [
        [status.phase, status.reason].filter((word) => word !== undefined).join(" "),
        ...[...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses].map(
          ({ name, state: { waiting: waits, terminated } = {} }) =>
            `${name}: ${waits?.reason ?? terminated?.reason ?? "running"}`,
        ),
        ...(status.conditions ?? []).map(
          ({ type, status: value, reason }) => `${type}=${value}${reason === undefined ? "" : ` ${reason}`}`,
        ),
      ],
      says,
    );
  });
}
