// A table of where pods stand and what is to be done: the whole life, one line a case.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import { nextStep, type Step } from "./next-step.ts";
import {
  type ContainerPhase,
  type ContainerRecord,
  containersOf,
  type Intent,
  newContainer,
  type PodState,
} from "./pod-state.ts";

const nowMs = 1_000_000;

function podOf(spec: Partial<PodSpec> = {}): Pod {
  return { metadata: { name: "p", uid: "u" }, spec: { containers: [{ name: "a", image: "i" }], ...spec } };
}

const two: readonly Container[] = [
  { name: "a", image: "i" },
  { name: "b", image: "i" },
];
const run: Intent = { do: "run" };
const gone: Intent = { do: "stop", graceMs: 5000, leave: "nothing", reason: "", message: "" };
const late: Intent = { do: "stop", graceMs: 5000, leave: "results", reason: "DeadlineExceeded", message: "late" };
const up: PodState = { phase: "Up" };
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
const stopping: ContainerPhase = {
  phase: "Stopping",
  id: "x",
  startedAtMs: 0,
  sinceMs: nowMs - 1000,
  deadlineMs: nowMs + 29_000,
};
const held: ContainerPhase = { ...stopping, deadlineMs: nowMs + 1000, held: true };

function exited(exitCode: number, backoffNoted = false): ContainerPhase {
  const exit = { id: "x", exitCode, reason: "", message: "", startedAtMs: 0, finishedAtMs: nowMs - 1000 };
  return { phase: "Exited", exit, backoffNoted };
}

function records(
  pod: Pod,
  phases: readonly ContainerPhase[],
  more: Partial<ContainerRecord> = {},
): readonly ContainerRecord[] {
  return containersOf(pod).map(({ container, role }, index) => ({
    ...newContainer(container.name, role),
    now: phases[index] ?? waiting,
    ...more,
  }));
}

interface Case {
  readonly title: string;
  readonly state: PodState;
  readonly spec?: Partial<PodSpec>;
  readonly status?: string;
  readonly intent?: Intent;
  readonly stopSinceMs?: number;
  readonly phases?: readonly ContainerPhase[];
  readonly more?: Partial<ContainerRecord>;
  readonly step: Step;
}

const wait = (untilMs?: number): Step => ({ do: "wait", untilMs });
const containers = (steps: Extract<Step, { do: "containers" }>["steps"], untilMs?: number): Step => ({
  do: "containers",
  steps,
  untilMs,
});
const start = (name: string, attempt = 0) => ({ do: "start", name, attempt }) as const;
const finish = (outcome: "Succeeded" | "Failed", reason = "", message = ""): Step => ({
  do: "finish",
  outcome,
  reason,
  message,
});
const sidecar: Partial<PodSpec> = { initContainers: [{ name: "s", image: "i", restartPolicy: "Always" }] };
const sidecars: Partial<PodSpec> = {
  initContainers: ["s", "t"].map((name) => ({ name, image: "i", restartPolicy: "Always" })),
};
const lifecycle = { preStop: { sleep: { seconds: 1 } } };
const hooked: Partial<PodSpec> = {
  initContainers: ["s", "t"].map((name) => ({ name, image: "i", restartPolicy: "Always", lifecycle })),
};
const visited: Partial<PodSpec> = { ephemeralContainers: [{ name: "e", image: "i" }] };
const ruled: Container = {
  name: "a",
  image: "i",
  restartPolicy: "Never",
  restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }],
};
const ruledAll: Partial<PodSpec> = {
  restartPolicy: "Never",
  initContainers: [{ name: "i", image: "i" }],
  containers: [
    {
      ...ruled,
      restartPolicyRules: [
        { action: "Restart", exitCodes: { operator: "In", values: [43] } },
        { action: "RestartAllContainers", exitCodes: { operator: "In", values: [42, 43] } },
      ],
    },
    { name: "b", image: "i" },
  ],
};
const init: Partial<PodSpec> = { initContainers: [{ name: "i", image: "i" }] };
const backoff = { delayMs: 10_000, updatedAtMs: nowMs - 60_000 };

const cases: readonly Case[] = [
  {
    title: "ends all at once when one ended so that all begin anew",
    state: up,
    spec: ruledAll,
    phases: [exited(0), exited(42), running],
    step: containers([{ do: "stop", name: "b", graceMs: 0, message: "Stopping container b" }]),
  },
  {
    title: "lets all begin anew once they have ended",
    state: up,
    spec: ruledAll,
    phases: [exited(0), exited(42), exited(137)],
    step: containers([{ do: "restartAll", trigger: "a", atMs: nowMs - 1000 }]),
  },
  {
    title: "goes by the first rule that fits",
    state: up,
    spec: ruledAll,
    phases: [exited(0), exited(43), running],
    step: containers([{ do: "start", name: "a", attempt: 1 }]),
  },
  {
    title: "begins anew with the init containers",
    state: up,
    spec: ruledAll,
    more: { again: "rules", attempt: 1 },
    step: containers([{ do: "start", name: "i", attempt: 1 }]),
  },
  { title: "sets a new pod up", state: { phase: "Accepted" }, step: { do: "setUp" } },
  { title: "sets an adopted pod up again", state: { phase: "Accepted" }, phases: [running], step: { do: "setUp" } },
  {
    title: "does not run a finished pod a second time",
    state: { phase: "Accepted" },
    status: "Failed",
    step: finish("Failed"),
  },
  {
    title: "finishes a pod that ended while no agent ran",
    state: { phase: "Accepted" },
    spec: { restartPolicy: "Never" },
    phases: [exited(0)],
    step: finish("Succeeded"),
  },
  {
    title: "removes a pod that was deleted before it began",
    state: { phase: "Accepted" },
    intent: gone,
    step: { do: "tearDown" },
  },
  { title: "waits for a set-up", state: { phase: "SettingUp" }, intent: gone, step: wait() },
  {
    title: "waits before it sets up again",
    state: { phase: "SetUpFailed", message: "", failures: 1, retryAtMs: nowMs + 500 },
    step: wait(nowMs + 500),
  },
  {
    title: "sets up again when the time has come",
    state: { phase: "SetUpFailed", message: "", failures: 1, retryAtMs: nowMs },
    step: { do: "setUp" },
  },
  {
    title: "starts all containers at once",
    state: up,
    spec: { containers: two },
    step: containers([start("a"), start("b")]),
  },
  { title: "starts init containers first", state: up, spec: init, step: containers([start("i")]) },
  { title: "waits for an init container", state: up, spec: init, phases: [running], step: wait() },
  {
    title: "goes on after an init container",
    state: up,
    spec: init,
    phases: [exited(0)],
    step: containers([start("a")]),
  },
  {
    title: "tries a failed init container again",
    state: up,
    spec: init,
    phases: [exited(1)],
    step: containers([start("i", 1)]),
  },
  {
    title: "fails a pod whose init container may not be tried again",
    state: up,
    spec: { ...init, restartPolicy: "Never" },
    phases: [exited(1)],
    step: finish("Failed"),
  },
  {
    title: "waits until a sidecar has started",
    state: up,
    spec: sidecar,
    phases: [{ ...running, started: false }],
    step: wait(),
  },
  { title: "goes on beside a sidecar", state: up, spec: sidecar, phases: [running], step: containers([start("a")]) },
  {
    title: "ends sidecars after the main containers",
    state: up,
    spec: { ...sidecar, restartPolicy: "Never" },
    phases: [running, exited(0)],
    step: containers([{ do: "stop", name: "s", graceMs: 30_000, message: "Stopping container s" }]),
  },
  {
    title: "restarts a container at once after its first crash",
    state: up,
    phases: [exited(1)],
    step: containers([start("a", 1)]),
  },
  {
    title: "says that it backs off after the second",
    state: up,
    phases: [exited(1)],
    more: { backoff },
    step: containers([{ do: "noteBackoff", name: "a", untilMs: nowMs + 9000 }], nowMs + 9000),
  },
  { title: "says so once", state: up, phases: [exited(1, true)], more: { backoff }, step: wait(nowMs + 9000) },
  {
    title: "restarts what ended well under Always",
    state: up,
    phases: [exited(0)],
    step: containers([start("a", 1)]),
  },
  {
    title: "leaves what ended well under OnFailure",
    state: up,
    spec: { restartPolicy: "OnFailure" },
    phases: [exited(0)],
    step: finish("Succeeded"),
  },
  {
    title: "heeds a container's own restart policy",
    state: up,
    spec: { containers: [{ name: "a", image: "i", restartPolicy: "Never" }] },
    phases: [exited(1)],
    step: finish("Failed"),
  },
  {
    title: "restarts a container whose exit code a rule names",
    state: up,
    spec: { containers: [ruled] },
    phases: [exited(42)],
    step: containers([start("a", 1)]),
  },
  {
    title: "leaves a container whose exit code no rule names",
    state: up,
    spec: { containers: [ruled] },
    phases: [exited(43)],
    step: finish("Failed"),
  },
  {
    title: "waits for the other containers before it finishes",
    state: up,
    spec: { containers: two, restartPolicy: "Never" },
    phases: [exited(1), running],
    step: wait(),
  },
  {
    title: "fails a pod when any container failed",
    state: up,
    spec: { containers: two, restartPolicy: "Never" },
    phases: [exited(1), exited(0)],
    step: finish("Failed"),
  },
  {
    title: "stops what a probe gave up",
    state: up,
    phases: [{ ...running, unhealthy: { message: "ill", graceMs: 2000 } }],
    step: containers([{ do: "stop", name: "a", graceMs: 2000, message: "ill" }]),
  },
  {
    title: "stops a container whose image changed",
    state: up,
    phases: [{ ...running, image: "old" }],
    step: containers([
      { do: "stop", name: "a", graceMs: 30_000, message: "Container a definition changed, will be restarted" },
    ]),
  },
  {
    title: "stops a deleted pod's containers together",
    state: up,
    spec: { containers: two },
    intent: gone,
    phases: [running, { phase: "Starting" }],
    step: containers([
      { do: "stop", name: "a", graceMs: 5000, message: "Stopping container a" },
      { do: "cancel", name: "b" },
    ]),
  },
  {
    title: "hurries when the grace period was shortened",
    state: up,
    intent: gone,
    stopSinceMs: nowMs - 1000,
    phases: [stopping],
    step: containers([{ do: "hurry", name: "a", deadlineMs: nowMs + 4000 }]),
  },
  {
    title: "keeps sidecars until the rest has ended",
    state: up,
    spec: sidecar,
    intent: gone,
    stopSinceMs: nowMs - 1000,
    phases: [running, stopping],
    step: containers([{ do: "hurry", name: "a", deadlineMs: nowMs + 4000 }]),
  },
  {
    title: "ends sidecars one by one, the last first, in what is left of the grace period",
    state: up,
    spec: sidecars,
    intent: gone,
    stopSinceMs: nowMs - 2000,
    phases: [running, running, exited(0)],
    step: containers([{ do: "stop", name: "t", graceMs: 3000, message: "Stopping container t" }]),
  },
  {
    title: "begins the hooks of sidecars with the rest, and holds their signals",
    state: up,
    spec: hooked,
    intent: gone,
    stopSinceMs: nowMs - 2000,
    phases: [running, running, running],
    step: containers([
      { do: "stop", name: "a", graceMs: 3000, message: "Stopping container a" },
      { do: "stop", name: "s", graceMs: 3000, message: "Stopping container s", held: true },
      { do: "stop", name: "t", graceMs: 3000, message: "Stopping container t", held: true },
    ]),
  },
  {
    title: "releases the last sidecar when the rest has ended",
    state: up,
    spec: hooked,
    intent: gone,
    stopSinceMs: nowMs - 4000,
    phases: [held, held, exited(0)],
    step: containers([{ do: "release", name: "t", deadlineMs: nowMs + 2000 }]),
  },
  {
    title: "gives a sidecar two seconds when none are left",
    state: up,
    spec: sidecars,
    intent: gone,
    stopSinceMs: nowMs - 60_000,
    phases: [running, exited(0), exited(0)],
    step: containers([{ do: "stop", name: "s", graceMs: 2000, message: "Stopping container s" }]),
  },
  {
    title: "starts an ephemeral container beside the others",
    state: up,
    spec: visited,
    phases: [running],
    step: containers([start("e")]),
  },
  {
    title: "starts an ephemeral container also while an init container runs",
    state: up,
    spec: { ...init, ...visited },
    phases: [running],
    step: containers([start("e")]),
  },
  {
    title: "lets an ephemeral container end",
    state: up,
    spec: visited,
    phases: [running, exited(1)],
    step: wait(),
  },
  {
    title: "does not wait for an ephemeral container",
    state: up,
    spec: { ...visited, restartPolicy: "Never" },
    phases: [exited(0), running],
    step: containers([{ do: "stop", name: "e", graceMs: 30_000, message: "Stopping container e" }]),
  },
  { title: "tears down when all have ended", state: up, intent: gone, phases: [exited(0)], step: { do: "tearDown" } },
  {
    title: "fails what ran too long",
    state: up,
    intent: late,
    phases: [exited(0)],
    step: finish("Failed", "DeadlineExceeded", "late"),
  },
  {
    title: "cleans up after a finished pod",
    state: { phase: "Finished", outcome: "Failed", reason: "", message: "", leftovers: "here" },
    step: { do: "cleanUp" },
  },
  {
    title: "keeps a finished pod's results",
    state: { phase: "Finished", outcome: "Failed", reason: "", message: "", leftovers: "gone" },
    step: wait(),
  },
  {
    title: "removes a finished pod that is deleted",
    state: { phase: "Finished", outcome: "Failed", reason: "", message: "", leftovers: "gone" },
    intent: gone,
    step: { do: "tearDown" },
  },
  {
    title: "tries a tear-down again",
    state: { phase: "TearDownFailed", failures: 1, retryAtMs: nowMs },
    intent: gone,
    step: { do: "tearDown" },
  },
  {
    title: "waits before it does",
    state: { phase: "TearDownFailed", failures: 1, retryAtMs: nowMs + 1 },
    intent: gone,
    step: wait(nowMs + 1),
  },
  { title: "tells when nothing is left", state: { phase: "Gone" }, intent: gone, step: { do: "forget" } },
];

for (const { title, state, spec, status, intent = run, stopSinceMs = nowMs, phases = [], more = {}, step } of cases) {
  test(`nextStep ${title}`, () => {
    const bare = podOf(spec);
    const pod: Pod = status === undefined ? bare : { ...bare, status: { phase: status } };
    assert.deepEqual(nextStep(state, { pod, intent, stopSinceMs }, records(pod, phases, more), nowMs), step);
  });
}
