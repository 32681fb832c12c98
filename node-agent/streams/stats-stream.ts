// What the node and its containers use right now: CPU over a moment, memory at its end. Nothing is measured while nobody asks.
import { readFile } from "node:fs/promises";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { NodeUsage } from "../../lib/node-usage.ts";
import type { Agent } from "../agent.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { NodeStream, StreamEnd } from "../session-types.ts";

export interface StatsParts {
  readonly agent: () => Agent | undefined;
  readonly runtime: Runtime;
  readonly clock: Clock;
}

const windowMs = 500;

export async function serveStats(parts: StatsParts, stream: NodeStream): Promise<StreamEnd> {
  const startMs = parts.clock.monotonicMs();
  const [node, containers] = [await measureNode(), await measureContainers(parts)];
  await sleep(parts.clock, windowMs, stream.signal);
  const seconds = (parts.clock.monotonicMs() - startMs) / 1000;
  const [nodeThen, containersThen] = [await measureNode(), await measureContainers(parts)];
  const usage: NodeUsage = {
    windowSeconds: seconds,
    cpuNanoCores: Math.max(0, Math.round((nodeThen.cpuNs - node.cpuNs) / seconds)),
    memoryBytes: nodeThen.memoryBytes,
    containers: [...containersThen].flatMap(([id, { cpuNs, ...rest }]) => {
      // One that has just started has no moment behind it yet.
      const before = containers.get(id);
      return before === undefined
        ? []
        : [{ ...rest, cpuNanoCores: Math.max(0, Math.round((cpuNs - before.cpuNs) / seconds)) }];
    }),
  };
  await stream.send({ type: "stdout", data: Buffer.from(JSON.stringify(usage)) });
  return { exitCode: 0, error: "" };
}

/** Ticks of proc_stat(5) are hundredths of a second. */
const tickNs = 1e7;

async function measureNode(): Promise<{ readonly cpuNs: number; readonly memoryBytes: number }> {
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

interface Measured {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly cpuNs: number;
  readonly memoryBytes: number;
}

async function measureContainers({ agent, runtime }: StatsParts): Promise<ReadonlyMap<string, Measured>> {
  const running = (agent()?.workers ?? []).flatMap(({ pod, containers }) =>
    containers.flatMap(({ name, now }) => (now.phase === "Running" ? [{ pod, name, id: now.id }] : [])),
  );
  const measured = await Promise.all(
    running.map(async ({ pod: { metadata }, name, id }): Promise<readonly [string, Measured][]> => {
      // It may end while it is measured.
      const stats = await runtime.stats(id).catch(() => undefined);
      if (stats === undefined) return [];
      const labels = { namespace: metadata?.namespace ?? "default", pod: metadata?.name ?? "", container: name };
      return [[id, { ...labels, cpuNs: stats.cpuUsageNs, memoryBytes: stats.memoryWorkingSetBytes }]];
    }),
  );
  return new Map(measured.flat());
}
