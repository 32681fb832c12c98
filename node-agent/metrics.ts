// What Prometheus learns of a node: its containers' use of CPU and memory under the names that dashboards know, and the agent itself.
// Everything is measured when asked; nothing runs in between.
import { readdirSync } from "node:fs";
import { Counter, Gauge, Registry } from "prom-client";
import type { Agent } from "./agent.ts";
import { sampleContainers } from "./container-samples.ts";
import type { PressureCounts } from "./eviction/pressure.ts";
import type { NodeLoad, NodeMachine } from "./node-status.ts";
import type { Runtime } from "./runtime/runtime.ts";

export interface MetricsParts {
  readonly agent: () => Agent | undefined;
  readonly runtime: Runtime;
  readonly machine: NodeMachine;
  readonly version: string;
  readonly readLoad: () => Promise<NodeLoad>;
  readonly pressure: () => PressureCounts;
}

export interface AgentPage {
  readonly text: string;
  readonly contentType: string;
}

export interface AgentMetrics {
  scrape(): Promise<AgentPage>;
}

const perContainer = ["namespace", "pod", "container"] as const;

export function openMetrics(parts: MetricsParts): AgentMetrics {
  const registers = [new Registry()];
  const [registry] = registers;
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  const counter = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });

  const cpu = counter(
    "container_cpu_usage_seconds_total",
    "CPU time that the container used, in seconds.",
    perContainer,
  );
  const ooms = counter(
    "container_oom_events_total",
    "Times the kernel killed a process of the container for its memory.",
    perContainer,
  );
  const workingSet = gauge(
    "container_memory_working_set_bytes",
    "Memory of the container that cannot be reclaimed easily.",
    perContainer,
  );
  const usage = gauge("container_memory_usage_bytes", "Memory of the container with its page cache.", perContainer);
  const processes = gauge("container_processes", "Processes and threads of the container.", perContainer);
  const started = gauge(
    "container_start_time_seconds",
    "When the container started, in seconds since the epoch.",
    perContainer,
  );
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
  const inodesFree = gauge(
    "naru_agent_disk_inodes_free",
    "Files that the disk of images and containers can still take.",
  );
  const evictions = counter(
    "kubelet_evictions",
    "Pods that were ended because the node ran short, by what it ran short of.",
    ["eviction_signal"],
  );
  const imagesCollected = counter(
    "kubelet_image_garbage_collected_total",
    "Images removed because nothing used them and the disk was full.",
    ["reason"],
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
    inodesFree.set(load.inodesFree);
    const counts = parts.pressure();
    for (const metric of [evictions, imagesCollected]) metric.reset();
    for (const [signal, count] of counts.evictions) evictions.inc({ eviction_signal: signal }, count);
    imagesCollected.inc({ reason: "space" }, counts.imagesCollected);
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
  const measureContainers = async () => {
    const samples = await sampleContainers(parts);
    for (const metric of [cpu, ooms, workingSet, usage, processes, started]) metric.reset();
    for (const { labels, stats, startedAtMs } of samples) {
      cpu.inc(labels, stats.cpuUsageNs / 1e9);
      ooms.inc(labels, stats.oomKills);
      workingSet.set(labels, stats.memoryWorkingSetBytes);
      usage.set(labels, stats.memoryUsageBytes);
      processes.set(labels, stats.pids);
      started.set(labels, startedAtMs / 1000);
    }
  };
  return {
    scrape: async () => {
      measureAgent();
      countPods();
      await measureMachine();
      await measureContainers();
      return { text: (await registry?.metrics()) ?? "", contentType: Registry.PROMETHEUS_CONTENT_TYPE };
    },
  };
}
