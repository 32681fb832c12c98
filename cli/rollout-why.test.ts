// Why a rollout waits.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../api/kinds/generated/types.ts";
import { reasonOf } from "./rollout-why.ts";

const pod = (name: string, minute: number, status: Pod["status"] = {}): Pod => ({
  metadata: { name, creationTimestamp: `2026-01-31T12:0${minute}:00Z` },
  status,
});
const waiting = (message?: string): Pod["status"] => ({
  containerStatuses: [
    {
      name: "web",
      image: "web:1",
      imageID: "",
      ready: false,
      restartCount: 1,
      state: { waiting: { reason: "Waits", ...(message === undefined ? {} : { message }) } },
      lastState: { terminated: { exitCode: 3, reason: "Error", message: "no port\n" } },
    },
  ],
});

test("the newest pod that says why it waits, reasonOf", () => {
  const unschedulable = { conditions: [{ type: "PodScheduled", status: "False", message: "0/3 nodes fit" }] };
  assert.deepEqual(
    [
      reasonOf([]),
      reasonOf([pod("creating", 1, waiting())]),
      reasonOf([pod("old", 1, waiting("back-off")), pod("new", 2, unschedulable), pod("fine", 3)]),
      reasonOf([pod("old", 1, waiting("back-off")), pod("fine", 3)]),
    ],
    [
      "",
      "",
      "pod new: 0/3 nodes fit",
      "pod old: container web: back-off; it ended before: Error, exit code 3, no port",
    ],
  );
});
