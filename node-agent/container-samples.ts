// What a node and each container that runs on it use at this moment.
import { readFile } from "node:fs/promises";
import type { Pod } from "../api/kinds/generated/types.ts";
import type { Agent } from "./agent.ts";
import type { ContainerStats, Runtime } from "./runtime/runtime.ts";

export interface ContainerSample {
  readonly labels: { readonly namespace: string; readonly pod: string; readonly container: string };
  readonly id: string;
  readonly pod: Pod;
  readonly stats: ContainerStats;
  readonly startedAtMs: number;
}

export async function sampleContainers(parts: {
  readonly agent: () => Agent | undefined;
  readonly runtime: Pick<Runtime, "stats">;
}): Promise<readonly ContainerSample[]> {
  const running = (parts.agent()?.workers ?? []).flatMap((worker) =>
    worker.containers.flatMap(({ name, now }) =>
      now.phase === "Running" || now.phase === "Stopping" ? [{ pod: worker.pod, name, now }] : [],
    ),
  );
  const samples = await Promise.all(
    running.map(async ({ pod, name, now }): Promise<ContainerSample | undefined> => {
      // It may end while it is measured.
      const stats = await parts.runtime.stats(now.id).catch(() => undefined);
      const { namespace = "default", name: podName = "" } = pod.metadata ?? {};
      if (stats === undefined) return undefined;
      const labels = { namespace, pod: podName, container: name };
      return { labels, id: now.id, pod, stats, startedAtMs: now.startedAtMs };
    }),
  );
  return samples.filter((each) => each !== undefined);
}

/** Ticks of proc_stat(5) are hundredths of a second. */
const tickNs = 1e7;

export async function measureNode(): Promise<{ readonly cpuNs: number; readonly memoryBytes: number }> {
  const [stat, meminfo] = await Promise.all([readFile("/proc/stat", "utf8"), readFile("/proc/meminfo", "utf8")]);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "")
    .split(" ")
    .map(Number);
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, "m").exec(meminfo)?.[1] ?? 0);
  return {
    cpuNs: (user + nice + system + irq + softirq) * tickNs,
    memoryBytes: (kilobytes("MemTotal") - kilobytes("MemAvailable")) * 1024,
  };
}
