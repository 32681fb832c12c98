// What Prometheus learns of the scheduler. Names follow kube-scheduler's where they mean the same.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export interface SchedulerMetrics {
  decided(type: "bind" | "unschedulable", seconds: number): void;
  pending(sizes: { readonly ready: number; readonly backoff: number; readonly unschedulable: number }): void;
}

export function createSchedulerMetrics(registry: Registry): SchedulerMetrics {
  const registers = [registry];
  const duration = new Histogram({
    name: "scheduler_scheduling_algorithm_duration_seconds",
    help: "Time to decide on one pod, in seconds.",
    buckets: [0.00001, 0.0001, 0.001, 0.01, 0.1],
    registers,
  });
  const attempts = new Counter({
    name: "scheduler_schedule_attempts_total",
    help: "Decisions on pods by result.",
    labelNames: ["result"],
    registers,
  });
  const pods = new Gauge({
    name: "scheduler_pending_pods",
    help: "Pods that wait for a node, by queue.",
    labelNames: ["queue"],
    registers,
  });
  return {
    decided: (type, seconds) => {
      duration.observe(seconds);
      attempts.inc({ result: type === "bind" ? "scheduled" : "unschedulable" });
    },
    pending: ({ ready, backoff, unschedulable }) => {
      pods.set({ queue: "active" }, ready);
      pods.set({ queue: "backoff" }, backoff);
      pods.set({ queue: "unschedulable" }, unschedulable);
    },
  };
}
