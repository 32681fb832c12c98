// What Prometheus learns of the server's process and of its controllers.
import { statfs } from "node:fs/promises";
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from "prom-client";

// Gauges that Node's default metrics name like counters, against Prometheus' own rules.
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** The event loop is looked at so often; each look wakes an idle server. */
const eventLoopMs = 100;

export function processMetrics(register: Registry, dataDir: string): void {
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: eventLoopMs });
  new Gauge({
    name: "naru_server_disk_available_bytes",
    help: "Room on the disk of the data folder, where the embedded store is.",
    registers: [register],
    async collect() {
      const { bavail, bsize } = await statfs(dataDir);
      this.set(bavail * bsize);
    },
  });
  for (const name of misnamed) register.removeSingleMetric(name);
}

export function controllerMetrics(
  registry: Registry,
): (controller: string, pass: { readonly durationMs: number; readonly failed: boolean }) => void {
  const registers = [registry];
  const duration = new Histogram({
    name: "naru_controller_reconcile_duration_seconds",
    help: "Time of one pass of a controller for one object, in seconds.",
    labelNames: ["controller"],
    buckets: [0.001, 0.01, 0.1, 1, 10],
    registers,
  });
  const failures = new Counter({
    name: "naru_controller_reconcile_errors_total",
    help: "Passes of a controller that failed and were tried again.",
    labelNames: ["controller"],
    registers,
  });
  return (controller, { durationMs, failed }) => {
    duration.observe({ controller }, durationMs / 1000);
    if (failed) failures.inc({ controller });
  };
}
