// What containers and pods use, under the names and labels that cAdvisor's dashboards know.
import { Counter, Gauge, type Registry } from "prom-client";
import type { NetworkUse } from "./network-use.ts";
import type { ContainerStats } from "./runtime/runtime.ts";

export interface ContainerSample {
  readonly labels: Readonly<Record<"namespace" | "pod" | "container" | "image", string>>;
  readonly stats: ContainerStats;
  readonly startedAtMs: number;
  /** 0: none. */
  readonly memoryLimitBytes: number;
}

export interface PodSample {
  readonly labels: Readonly<Record<"namespace" | "pod" | "interface", string>>;
  readonly use: NetworkUse;
}

interface Measure<T> {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly read: (sample: T) => number;
}

const containerMeasures: readonly Measure<ContainerSample>[] = [
  {
    name: "container_cpu_usage_seconds_total",
    help: "CPU time that the container used, in seconds.",
    type: "counter",
    read: ({ stats }) => stats.cpuUsageNs / 1e9,
  },
  {
    name: "container_cpu_cfs_periods_total",
    help: "Periods in which the container ran under a CPU limit.",
    type: "counter",
    read: ({ stats }) => stats.cpuPeriods,
  },
  {
    name: "container_cpu_cfs_throttled_periods_total",
    help: "Periods in which the container had used up its CPU limit.",
    type: "counter",
    read: ({ stats }) => stats.cpuThrottledPeriods,
  },
  {
    name: "container_cpu_cfs_throttled_seconds_total",
    help: "Time that the container had to wait for its CPU limit, in seconds.",
    type: "counter",
    read: ({ stats }) => stats.cpuThrottledNs / 1e9,
  },
  {
    name: "container_memory_working_set_bytes",
    help: "Memory of the container that cannot be reclaimed easily.",
    type: "gauge",
    read: ({ stats }) => stats.memoryWorkingSetBytes,
  },
  {
    name: "container_memory_usage_bytes",
    help: "Memory of the container with its page cache.",
    type: "gauge",
    read: ({ stats }) => stats.memoryUsageBytes,
  },
  {
    name: "container_memory_rss",
    help: "Memory of the container's own, without files.",
    type: "gauge",
    read: ({ stats }) => stats.memoryRssBytes,
  },
  {
    name: "container_memory_cache",
    help: "Memory of the container that holds files.",
    type: "gauge",
    read: ({ stats }) => stats.memoryCacheBytes,
  },
  {
    name: "container_spec_memory_limit_bytes",
    help: "The container's memory limit; 0 when there is none.",
    type: "gauge",
    read: ({ memoryLimitBytes }) => memoryLimitBytes,
  },
  {
    name: "container_oom_events_total",
    help: "Times the kernel killed a process of the container for its memory.",
    type: "counter",
    read: ({ stats }) => stats.oomKills,
  },
  {
    name: "container_threads",
    help: "Processes and threads of the container.",
    type: "gauge",
    read: ({ stats }) => stats.pids,
  },
  {
    name: "container_start_time_seconds",
    help: "When the container started, in seconds since the epoch.",
    type: "gauge",
    read: ({ startedAtMs }) => startedAtMs / 1000,
  },
];

const podMeasures: readonly Measure<PodSample>[] = (
  [
    ["receive_bytes", "Bytes that came to the pod.", "receivedBytes"],
    ["receive_packets", "Packets that came to the pod.", "receivedPackets"],
    ["receive_packets_dropped", "Packets to the pod that were dropped.", "receivedDropped"],
    ["receive_errors", "Packets to the pod that were damaged.", "receivedErrors"],
    ["transmit_bytes", "Bytes that the pod sent.", "sentBytes"],
    ["transmit_packets", "Packets that the pod sent.", "sentPackets"],
    ["transmit_packets_dropped", "Packets of the pod that were dropped.", "sentDropped"],
    ["transmit_errors", "Packets of the pod that could not be sent.", "sentErrors"],
  ] as const
).map(([name, help, field]) => ({
  name: `container_network_${name}_total`,
  help,
  type: "counter",
  read: ({ use }) => use[field],
}));

export interface UseMetrics {
  show(containers: readonly ContainerSample[], pods: readonly PodSample[]): void;
}

export function useMetrics(registry: Registry): UseMetrics {
  const containers = register(registry, containerMeasures, ["namespace", "pod", "container", "image"]);
  const pods = register(registry, podMeasures, ["namespace", "pod", "interface"]);
  return {
    show: (containerSamples, podSamples) => {
      containers(containerSamples);
      pods(podSamples);
    },
  };
}

/** The function shows the present samples in place of the last ones. */
function register<T extends { readonly labels: Readonly<Record<string, string>> }>(
  registry: Registry,
  measures: readonly Measure<T>[],
  labelNames: readonly string[],
): (samples: readonly T[]) => void {
  const made = measures.map(({ name, help, type, read }) => {
    const options = { name, help, labelNames: [...labelNames], registers: [registry] };
    return { metric: type === "counter" ? new Counter(options) : new Gauge(options), read };
  });
  return (samples) => {
    for (const { metric, read } of made) {
      metric.reset();
      for (const sample of samples) metric.inc(sample.labels, read(sample));
    }
  };
}
