// The two pages of metrics that a kubelet has, told of one limited container and one that is not.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerSample } from "./container-samples.ts";
import { cadvisorText, resourceText } from "./kubelet-metrics.ts";

const detail = {
  ...{ memoryAnonymousBytes: 3, memoryCacheBytes: 4, memorySwapBytes: 5 },
  ...{ cpuPeriods: 6, cpuThrottledPeriods: 7, cpuThrottledNs: 8e9 },
};
const sample = (container: string, limits: Readonly<Record<string, string>>): ContainerSample => ({
  labels: { namespace: "default", pod: "web", container },
  id: `u.${container}.0`,
  pod: {
    metadata: { name: "web", uid: "u" },
    spec: { containers: [{ name: container, image: "web:1", resources: { limits } }] },
  },
  stats: { cpuUsageNs: 2e9, memoryUsageBytes: 30, memoryWorkingSetBytes: 20, pids: 1, oomKills: 0, detail },
  startedAtMs: 1500,
});
const samples = [sample("a", { cpu: "500m", memory: "1Ki" }), sample("b", {})];
const linesOf = (text: string) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("a pod has what its containers have together resourceText", () => {
  const of = (container: string) => `{namespace="default",pod="web",container="${container}"}`;
  assert.deepEqual(linesOf(resourceText(samples, { cpuNs: 9e9, memoryBytes: 99 })), [
    `container_cpu_usage_seconds_total${of("a")} 2`,
    `container_cpu_usage_seconds_total${of("b")} 2`,
    `container_memory_working_set_bytes${of("a")} 20`,
    `container_memory_working_set_bytes${of("b")} 20`,
    `container_start_time_seconds${of("a")} 1.5`,
    `container_start_time_seconds${of("b")} 1.5`,
    'pod_cpu_usage_seconds_total{namespace="default",pod="web"} 4',
    'pod_memory_working_set_bytes{namespace="default",pod="web"} 40',
    "node_cpu_usage_seconds_total 9",
    "node_memory_working_set_bytes 99",
    "resource_scrape_error 0",
  ]);
});

test("limits are told of who has them, links of pods cadvisorText", () => {
  const link = { rx_bytes: 1, rx_packets: 2, rx_errors: 3, rx_dropped: 4 };
  const links = { eth0: { ...link, tx_bytes: 5, tx_packets: 6, tx_errors: 7, tx_dropped: 8 } };
  const node = { cpuCores: 2, memoryBytes: 1024, nowMs: 7000 };
  const lines = linesOf(cadvisorText(samples, [{ namespace: "default", pod: "web", links }], node));
  const told = (pattern: RegExp) =>
    lines.filter((line) => pattern.test(line)).map((line) => line.replace(/\{.*\}/, ""));
  const a = '{namespace="default",pod="web",container="a",id="/u.a.0",image="web:1",name="u.a.0",cpu="total"}';
  assert.deepEqual(
    {
      cpu: lines[0],
      limits: told(/_spec_|_cfs_/),
      memory: told(/container="b".*|^x/).filter((line) => line.startsWith("container_memory")),
      links: lines.find((line) => line.startsWith("container_network_receive_bytes_total")),
      sent: told(/_transmit_/),
      machine: told(/^machine_/),
    },
    {
      cpu: `container_cpu_usage_seconds_total${a} 2`,
      limits: [
        "container_cpu_cfs_periods_total 6",
        "container_cpu_cfs_throttled_periods_total 7",
        "container_cpu_cfs_throttled_seconds_total 8",
        "container_spec_cpu_period 100000",
        "container_spec_cpu_quota 50000",
        "container_spec_memory_limit_bytes 1024",
        "container_spec_memory_limit_bytes 0",
      ],
      memory: [
        "container_memory_usage_bytes 30",
        "container_memory_working_set_bytes 20",
        "container_memory_rss 3",
        "container_memory_cache 4",
        "container_memory_swap 5",
      ],
      links:
        'container_network_receive_bytes_total{container="",image="",namespace="default",pod="web",interface="eth0"} 1',
      sent: [
        "container_network_transmit_bytes_total 5",
        "container_network_transmit_packets_total 6",
        "container_network_transmit_packets_dropped_total 8",
        "container_network_transmit_errors_total 7",
      ],
      machine: ["machine_cpu_cores 2", "machine_memory_bytes 1024"],
    },
  );
});
