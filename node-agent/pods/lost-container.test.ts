import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatus, Pod } from "../../api/kinds/generated/types.ts";
import { lostContainer } from "./lost-container.ts";

const status: ContainerStatus = { name: "c", image: "i", imageID: "", ready: false, restartCount: 2 };
const ran: ContainerStatus = { ...status, containerID: "naru://u.c.2" };
const podOf = (list: "containerStatuses" | "ephemeralContainerStatuses", one: ContainerStatus): Pod => ({
  metadata: { uid: "u" },
  status: { [list]: [one] },
});

test("lostContainer counts on where the status left off", () => {
  const counts = [
    lostContainer({ metadata: { uid: "u" } }, "c", "main"),
    lostContainer(podOf("containerStatuses", status), "c", "main"),
    lostContainer(podOf("containerStatuses", ran), "c", "main"),
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
  assert.deepEqual(lostContainer(podOf("ephemeralContainerStatuses", running), "c", "ephemeral").now, {
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
  const { attempt, now } = lostContainer({ ...pod, status: { ...pod.status, phase: "Failed" } }, "c", "main");
  assert(now.phase === "Exited");
  assert.deepEqual([attempt, now.exit.exitCode, now.exit.message], [2, 3, ""]);
});
