import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { sessionMetrics } from "./metrics.ts";

test("sessionMetrics reads the present at each scrape", async () => {
  const registry = new Registry();
  let dropped = 2;
  const metrics = sessionMetrics(registry, {
    sessions: () => 3,
    streams: () => 1,
    reportsPending: () => 0,
    eventsDropped: () => dropped,
    heartbeatAges: () => [["a", 0.25]],
  });
  metrics.assignments.inc({ type: "full" });
  await registry.metrics();
  dropped = 5;
  const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(lines, [
    "naru_node_sessions 3",
    "naru_node_streams 1",
    "naru_node_pod_reports_pending 0",
    'naru_node_heartbeat_age_seconds{node="a"} 0.25',
    "naru_node_events_dropped_total 5",
    'naru_node_assignments_total{type="full"} 1',
    "naru_node_assignment_bytes_total 0",
    "naru_node_lost_total 0",
  ]);
});
