// Who ends first when a machine goes down, and in what time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../api/kinds/generated/types.ts";
import { planShutdown } from "./shutdown.ts";

const pod = (uid: string, priority?: number): Pod => ({
  metadata: { uid },
  spec: { containers: [], ...(priority === undefined ? {} : { priority }) },
});
const times = { graceMs: 30_000, criticalGraceMs: 10_000 };

test("planShutdown ends critical pods last", () => {
  assert.deepEqual(planShutdown([pod("a"), pod("dns", 2_000_000_000), pod("b", 1000)], times), [
    { uids: ["a", "b"], graceMs: 20_000 },
    { uids: ["dns"], graceMs: 10_000 },
  ]);
});

test("planShutdown leaves out stages without pods, and keeps within the whole", () => {
  assert.deepEqual(planShutdown([pod("dns", 2_000_001_000)], { graceMs: 5000, criticalGraceMs: 9000 }), [
    { uids: ["dns"], graceMs: 5000 },
  ]);
});
