// A node's two further pages of metrics, as a kubelet has them and dashboards ask for them: /metrics/cadvisor and /metrics/resource.
// Pure: what was measured comes in, the exposition's text comes out.
// Source: Kubernetes documentation, "Node metrics data"; cAdvisor, "Monitoring cAdvisor with Prometheus".
import { amountOf } from "../api/kinds/pod-requests.ts";
import type { ContainerSample } from "./container-samples.ts";
import { cpuPeriodUs } from "./pods/resource-limits.ts";
import type { LinkCounters } from "./runtime/link-counters.ts";

export interface NodeUse {
  readonly cpuNs: number;
  readonly memoryBytes: number;
}

/** By link of the pod that these labels name. */
export interface PodLinks {
  readonly namespace: string;
  readonly pod: string;
  readonly links: Readonly<Record<string, LinkCounters>>;
}

type Labels = Readonly<Record<string, string>>;
type Line = readonly [labels: Labels, value: number | undefined];
type Family = readonly [name: string, type: "counter" | "gauge", help: string, lines: readonly Line[]];

export function resourceText(samples: readonly ContainerSample[], node: NodeUse): string {
  const containers = (value: (sample: ContainerSample) => number) =>
    samples.map((sample): Line => [sample.labels, value(sample)]);
  const pods = (value: (sample: ContainerSample) => number) => {
    const sums = new Map<string, readonly [Labels, number]>();
    for (const sample of samples) {
      const { namespace, pod } = sample.labels;
      const [, sum] = sums.get(`${namespace}/${pod}`) ?? [{}, 0];
      sums.set(`${namespace}/${pod}`, [{ namespace, pod }, sum + value(sample)]);
    }
    return [...sums.values()];
  };
  const cpu = ({ stats }: ContainerSample) => stats.cpuUsageNs / 1e9;
  const memory = ({ stats }: ContainerSample) => stats.memoryWorkingSetBytes;
  return textOf([
    [
      "container_cpu_usage_seconds_total",
      "counter",
      "CPU time that the container used, in core-seconds",
      containers(cpu),
    ],
    [
      "container_memory_working_set_bytes",
      "gauge",
      "Current working set of the container in bytes",
      containers(memory),
    ],
    [
      "container_start_time_seconds",
      "gauge",
      "Start time of the container since the epoch in seconds",
      containers(({ startedAtMs }) => startedAtMs / 1000),
    ],
    ["pod_cpu_usage_seconds_total", "counter", "CPU time that the pod used, in core-seconds", pods(cpu)],
    ["pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes", pods(memory)],
    [
      "node_cpu_usage_seconds_total",
      "counter",
      "CPU time that the node used, in core-seconds",
      [[{}, node.cpuNs / 1e9]],
    ],
    ["node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", [[{}, node.memoryBytes]]],
    [
      "resource_scrape_error",
      "gauge",
      "1 if there was an error while getting container metrics, 0 otherwise",
      [[{}, 0]],
    ],
  ]);
}

export function cadvisorText(
  samples: readonly ContainerSample[],
  links: readonly PodLinks[],
  { cpuCores, memoryBytes, nowMs }: { readonly cpuCores: number; readonly memoryBytes: number; readonly nowMs: number },
): string {
  const containers = (value: (sample: ContainerSample) => number | undefined) =>
    samples.map((sample): Line => [cadvisorLabels(sample), value(sample)]);
  const perLink = (value: (counters: LinkCounters) => number) =>
    links.flatMap(({ namespace, pod, links: found }) =>
      Object.entries(found).map(
        ([name, counters]): Line => [{ container: "", image: "", namespace, pod, interface: name }, value(counters)],
      ),
    );
  const counter = (name: string, help: string, lines: readonly Line[]): Family => [name, "counter", help, lines];
  const gauge = (name: string, help: string, lines: readonly Line[]): Family => [name, "gauge", help, lines];
  const inCpu = (sample: ContainerSample) => [{ ...cadvisorLabels(sample), cpu: "total" }, sample] as const;
  const hasQuota = (sample: ContainerSample) => limitOf(sample, "cpu") !== undefined;
  return textOf([
    counter(
      "container_cpu_usage_seconds_total",
      "Cumulative cpu time consumed in seconds.",
      samples.map(inCpu).map(([labels, { stats }]): Line => [labels, stats.cpuUsageNs / 1e9]),
    ),
    counter(
      "container_cpu_cfs_periods_total",
      "Number of elapsed enforcement period intervals.",
      containers((sample) => (hasQuota(sample) ? sample.stats.detail?.cpuPeriods : undefined)),
    ),
    counter(
      "container_cpu_cfs_throttled_periods_total",
      "Number of throttled period intervals.",
      containers((sample) => (hasQuota(sample) ? sample.stats.detail?.cpuThrottledPeriods : undefined)),
    ),
    counter(
      "container_cpu_cfs_throttled_seconds_total",
      "Total time duration the container has been throttled.",
      containers((sample) => (hasQuota(sample) ? (sample.stats.detail?.cpuThrottledNs ?? 0) / 1e9 : undefined)),
    ),
    gauge(
      "container_memory_usage_bytes",
      "Current memory usage in bytes, with the page cache.",
      containers(({ stats }) => stats.memoryUsageBytes),
    ),
    gauge(
      "container_memory_working_set_bytes",
      "Current working set in bytes.",
      containers(({ stats }) => stats.memoryWorkingSetBytes),
    ),
    gauge(
      "container_memory_rss",
      "Size of RSS in bytes.",
      containers(({ stats }) => stats.detail?.memoryAnonymousBytes),
    ),
    gauge(
      "container_memory_cache",
      "Number of bytes of page cache memory.",
      containers(({ stats }) => stats.detail?.memoryCacheBytes),
    ),
    gauge(
      "container_memory_swap",
      "Container swap usage in bytes.",
      containers(({ stats }) => stats.detail?.memorySwapBytes),
    ),
    counter(
      "container_oom_events_total",
      "Count of out of memory events observed for the container.",
      containers(({ stats }) => stats.oomKills),
    ),
    gauge(
      "container_processes",
      "Number of processes running inside the container.",
      containers(({ stats }) => stats.pids),
    ),
    gauge(
      "container_start_time_seconds",
      "Start time of the container since unix epoch in seconds.",
      containers(({ startedAtMs }) => startedAtMs / 1000),
    ),
    gauge(
      "container_last_seen",
      "Last time a container was seen by the exporter.",
      containers(() => Math.floor(nowMs / 1000)),
    ),
    gauge(
      "container_spec_cpu_period",
      "CPU period of the container.",
      containers((sample) => (hasQuota(sample) ? cpuPeriodUs : undefined)),
    ),
    gauge(
      "container_spec_cpu_quota",
      "CPU quota of the container.",
      containers((sample) => {
        const milli = limitOf(sample, "cpu");
        return milli === undefined ? undefined : (milli * cpuPeriodUs) / 1000;
      }),
    ),
    gauge(
      "container_spec_memory_limit_bytes",
      "Memory limit for the container; 0 for none.",
      containers((sample) => limitOf(sample, "memory") ?? 0),
    ),
    counter(
      "container_network_receive_bytes_total",
      "Cumulative count of bytes received.",
      perLink((link) => link.rx_bytes),
    ),
    counter(
      "container_network_receive_packets_total",
      "Cumulative count of packets received.",
      perLink((link) => link.rx_packets),
    ),
    counter(
      "container_network_receive_packets_dropped_total",
      "Cumulative count of packets dropped while receiving.",
      perLink((link) => link.rx_dropped),
    ),
    counter(
      "container_network_receive_errors_total",
      "Cumulative count of errors encountered while receiving.",
      perLink((link) => link.rx_errors),
    ),
    counter(
      "container_network_transmit_bytes_total",
      "Cumulative count of bytes transmitted.",
      perLink((link) => link.tx_bytes),
    ),
    counter(
      "container_network_transmit_packets_total",
      "Cumulative count of packets transmitted.",
      perLink((link) => link.tx_packets),
    ),
    counter(
      "container_network_transmit_packets_dropped_total",
      "Cumulative count of packets dropped while transmitting.",
      perLink((link) => link.tx_dropped),
    ),
    counter(
      "container_network_transmit_errors_total",
      "Cumulative count of errors encountered while transmitting.",
      perLink((link) => link.tx_errors),
    ),
    gauge("machine_cpu_cores", "Number of logical CPU cores.", [[{}, cpuCores]]),
    gauge("machine_memory_bytes", "Amount of memory installed on the machine.", [[{}, memoryBytes]]),
  ]);
}

function cadvisorLabels({ labels, id, pod }: ContainerSample): Labels {
  return { ...labels, id: `/${id}`, image: containerOf(pod, labels.container)?.image ?? "", name: id };
}

function limitOf({ labels, pod }: ContainerSample, resource: "cpu" | "memory"): number | undefined {
  const limit = containerOf(pod, labels.container)?.resources?.limits?.[resource];
  return limit === undefined ? undefined : amountOf(resource, limit);
}

function containerOf({ spec }: ContainerSample["pod"], name: string) {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? []), ...(spec?.ephemeralContainers ?? [])].find(
    (container) => container.name === name,
  );
}

// Source: Prometheus documentation, "Exposition formats".
function textOf(families: readonly Family[]): string {
  return families
    .flatMap(([name, type, help, lines]) => {
      const known = lines.flatMap(([labels, value]) =>
        value === undefined ? [] : [`${name}${labelText(labels)} ${value}\n`],
      );
      return known.length === 0 ? [] : [`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, ...known];
    })
    .join("");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
