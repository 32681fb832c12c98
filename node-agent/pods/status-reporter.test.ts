import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { PodStatus } from "../../api/kinds/generated/types.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { StatusReporter } from "./status-reporter.ts";

const ready = (podIP: string): PodStatus => ({
  phase: "Running",
  podIP,
  conditions: [{ type: "Ready", status: "True" }],
});

test("StatusReporter says a known status once more, since the agent that found it may have died before the server heard", async () => {
  const clock = virtualClock();
  const sent: PodStatus[] = [];
  const reporter = new StatusReporter(clock, ready("10.0.0.1"), (status) => sent.push(status));
  for (const podIP of ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"]) {
    reporter.offer(ready(podIP), { ending: false });
    await clock.advance(1000);
  }
  deepEqual(sent, [ready("10.0.0.1"), ready("10.0.0.2")]);
});
