import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatus, Pod } from "../../api/kinds/generated/types.ts";
import { lostContainer } from "./lost-container.ts";
import type { ContainerRole } from "./pod-state.ts";

const status: ContainerStatus = { name: "c", image: "i", imageID: "", ready: false, restartCount: 2 };
const ran: ContainerStatus = { ...status, containerID: "naru://u.c.2" };
const podOf = (list: "containerStatuses" | "ephemeralContainerStatuses", one: ContainerStatus): Pod => ({
  metadata: { uid: "u" },
  status: { [list]: [one] },
});

const lost = (pod: Pod, role: ContainerRole, allLost = false) =>
  lostContainer(pod, { name: "c", role }, { allLost, nowMs: 9000 });

test("lostContainer counts on where the status left off", () => {
  const counts = [
    lost({ metadata: { uid: "u" } }, "main"),
    lost(podOf("containerStatuses", status), "main"),
    lost(podOf("containerStatuses", ran), "main"),
  ].map(({ attempt, now }) => [attempt, now.phase]);
  assert.deepEqual(counts, [
    [0, "Waiting"],
    [2, "Waiting"],
    [3, "Waiting"],
  ]);
});

test("lostContainer does not run an ephemeral container a second time", () => {
  const startedAt = "2026-01-01T00:00:00Z";
  const running = { ...ran, restartCount: 0, state: { running: { startedAt } } };
  assert.deepEqual(lost(podOf("ephemeralContainerStatuses", running), "ephemeral").now, {
    phase: "Exited",
    exit: {
      id: "u.c.0",
      exitCode: 137,
      reason: "ContainerStatusUnknown",
      message: "The container could not be located when the node started again",
      startedAtMs: Date.parse(startedAt),
      finishedAtMs: Date.parse(startedAt),
    },
    backoffNoted: false,
  });
});

test("lostContainer keeps how the containers of an ended pod ended", () => {
  const terminated = {
    exitCode: 3,
    reason: "Error",
    startedAt: "2026-01-01T00:00:00Z",
    finishedAt: "2026-01-01T00:00:01Z",
  };
  const pod = podOf("containerStatuses", { ...ran, state: { terminated } });
  const { attempt, now } = lost({ ...pod, status: { ...pod.status, phase: "Failed" } }, "main");
  assert(now.phase === "Exited");
  assert.deepEqual([attempt, now.exit.exitCode, now.exit.message], [2, 3, ""]);
});

test("lostContainer begins a pod anew of which nothing is left, and keeps what is known of the last run", () => {
  const again = [false, true].map((allLost) => {
    const { last, ...record } = lost(podOf("containerStatuses", ran), "main", allLost);
    return [record.again, last?.id, last?.reason, last?.finishedAtMs];
  });
  assert.deepEqual(again, [
    [undefined, "u.c.2", "ContainerStatusUnknown", 9000],
    ["lost", "u.c.2", "ContainerStatusUnknown", 9000],
  ]);
});
