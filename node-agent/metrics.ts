// What Prometheus learns of a node: its containers' use of CPU and memory under the names that dashboards know, and the agent itself.
// Everything is measured when asked; nothing runs in between.
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Counter, Gauge, Registry } from "prom-client";
import type { Pod } from "../api/kinds/generated/types.ts";
import { bytes } from "../api/kinds/schema/quantity.ts";
import type { Agent } from "./agent.ts";
import { type ContainerSample, type PodSample, useMetrics } from "./metrics-containers.ts";
import { parseNetworkUse } from "./network-use.ts";
import type { NodeLoad, NodeMachine } from "./node-status.ts";
import type { Runtime } from "./runtime/runtime.ts";

export interface MetricsParts {
  readonly agent: () => Agent | undefined;
  readonly runtime: Runtime;
  readonly machine: NodeMachine;
  readonly version: string;
  readonly readLoad: () => Promise<NodeLoad>;
}

export interface AgentMetrics {
  /** The exposition text and its content type; "use": only what containers and pods use, as cAdvisor shows it. */
  scrape(part: "all" | "use"): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** Pods' own link, as pods see it. */
const podInterface = "eth0";

export function openMetrics(parts: MetricsParts): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  const counter = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });

  const use = useMetrics(registry);
  const pods = gauge("kubelet_running_pods", "Pods with a running sandbox.");
  const containers = gauge("kubelet_running_containers", "Containers by state.", ["container_state"]);
  gauge("machine_cpu_cores", "CPUs that the node offers.").set(parts.machine.cpuMilli / 1000);
  gauge("machine_memory_bytes", "Memory that the node offers.").set(parts.machine.memoryBytes);
  gauge("naru_agent_info", "The agent's version.", ["version"]).set({ version: parts.version }, 1);
  const disk = gauge("naru_agent_disk_bytes", "Size of the disk that holds images and containers.");
  const diskAvailable = gauge("naru_agent_disk_available_bytes", "Room on the disk that holds images and containers.");
  const memoryAvailable = gauge(
    "naru_agent_memory_available_bytes",
    "Memory of the machine that is free or can be freed.",
  );
  const processCpu = counter("process_cpu_seconds_total", "CPU time that the agent used, in seconds.");
  const processMemory = gauge("process_resident_memory_bytes", "Memory of the agent that is in RAM.");
  const processFiles = gauge("process_open_fds", "Files that the agent has open.");
  gauge("process_start_time_seconds", "When the agent started, in seconds since the epoch.").set(
    Math.floor(Date.now() / 1000 - process.uptime()),
  );

  const measureAgent = () => {
    const { user, system } = process.cpuUsage();
    processCpu.reset();
    processCpu.inc((user + system) / 1e6);
    processMemory.set(process.memoryUsage.rss());
    processFiles.set(readdirSync("/proc/self/fd").length);
  };
  const measureMachine = async () => {
    const load = await parts.readLoad();
    disk.set(load.diskBytes);
    diskAvailable.set(load.diskAvailableBytes);
    memoryAvailable.set(load.memoryAvailableBytes);
  };
  const countPods = () => {
    const workers = parts.agent()?.workers ?? [];
    pods.set(workers.filter(({ state }) => state.phase === "Up").length);
    const states = { running: 0, waiting: 0, exited: 0 };
    for (const worker of workers) {
      for (const record of worker.containers) {
        const { phase } = record.now;
        states[phase === "Running" || phase === "Stopping" ? "running" : phase === "Exited" ? "exited" : "waiting"]++;
      }
    }
    for (const [state, count] of Object.entries(states)) containers.set({ container_state: state }, count);
  };
  return {
    scrape: async (part) => {
      measureAgent();
      countPods();
      await measureMachine();
      use.show(await sampleContainers(parts), await samplePods(parts));
      const text = part === "all" ? await registry.metrics() : await usePart(registry);
      return { text, contentType: Registry.PROMETHEUS_CONTENT_TYPE };
    },
  };
}

async function usePart(registry: Registry): Promise<string> {
  const names = registry.getMetricsAsArray().map(({ name }) => name);
  const wanted = names.filter((name) => /^(container|machine)_/.test(name));
  return (await Promise.all(wanted.map((name) => registry.getSingleMetricAsString(name)))).join("\n\n").concat("\n");
}

function runningContainers({ agent }: MetricsParts) {
  return (agent()?.workers ?? []).flatMap((worker) =>
    worker.containers.flatMap(({ name, now }) =>
      now.phase === "Running" || now.phase === "Stopping" ? [{ pod: worker.pod, name, now }] : [],
    ),
  );
}

async function sampleContainers(parts: MetricsParts): Promise<readonly ContainerSample[]> {
  const samples = await Promise.all(
    runningContainers(parts).map(async ({ pod, name, now }): Promise<ContainerSample | undefined> => {
      // It may end while it is measured.
      const stats = await parts.runtime.stats(now.id).catch(() => undefined);
      if (stats === undefined) return undefined;
      const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
      const container = [...containers, ...initContainers, ...ephemeralContainers].find((one) => one.name === name);
      const limit = container?.resources?.limits?.["memory"];
      return {
        labels: { ...podLabels(pod), container: name, image: container?.image ?? "" },
        stats,
        startedAtMs: now.startedAtMs,
        memoryLimitBytes: limit === undefined ? 0 : bytes(limit),
      };
    }),
  );
  return samples.filter((each) => each !== undefined);
}

/** Any container's process shows its pod's network; pods in the node's own network have none. */
async function samplePods(parts: MetricsParts): Promise<readonly PodSample[]> {
  const first = new Map(runningContainers(parts).map((one) => [one.pod.metadata?.uid, one]));
  const samples = await Promise.all(
    [...first.values()].map(async ({ pod, now }): Promise<PodSample | undefined> => {
      if (pod.spec?.hostNetwork === true) return undefined;
      const [pid] = await parts.runtime.processes(now.id).catch(() => []);
      if (pid === undefined) return undefined;
      const use = parseNetworkUse(await readFile(`/proc/${pid}/net/dev`, "utf8").catch(() => ""), podInterface);
      return use === undefined ? undefined : { labels: { ...podLabels(pod), interface: podInterface }, use };
    }),
  );
  return samples.filter((each) => each !== undefined);
}

function podLabels({ metadata }: Pod): { readonly namespace: string; readonly pod: string } {
  return { namespace: metadata?.namespace ?? "default", pod: metadata?.name ?? "" };
}
