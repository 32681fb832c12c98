// What the node and its containers use right now: CPU over a moment, memory at its end. Nothing is measured while nobody asks.
import { type Clock, sleep } from "../../lib/clock.ts";
import type { NodeUsage } from "../../lib/node-usage.ts";
import type { Agent } from "../agent.ts";
import { measureNode, sampleContainers } from "../container-samples.ts";
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
  const [node, containers] = [await measureNode(), await sampleContainers(parts)];
  const before = new Map(containers.map(({ id, stats }) => [id, stats.cpuUsageNs]));
  await sleep(parts.clock, windowMs, stream.signal);
  const seconds = (parts.clock.monotonicMs() - startMs) / 1000;
  const [nodeThen, containersThen] = [await measureNode(), await sampleContainers(parts)];
  const usage: NodeUsage = {
    windowSeconds: seconds,
    cpuNanoCores: Math.max(0, Math.round((nodeThen.cpuNs - node.cpuNs) / seconds)),
    memoryBytes: nodeThen.memoryBytes,
    containers: containersThen.flatMap(({ id, labels, stats }) => {
      // One that has just started has no moment behind it yet.
      const cpuNs = before.get(id);
      if (cpuNs === undefined) return [];
      const cpuNanoCores = Math.max(0, Math.round((stats.cpuUsageNs - cpuNs) / seconds));
      return [{ ...labels, memoryBytes: stats.memoryWorkingSetBytes, cpuNanoCores }];
    }),
  };
  await stream.send({ type: "stdout", data: Buffer.from(JSON.stringify(usage)) });
  return { exitCode: 0, error: "" };
}
