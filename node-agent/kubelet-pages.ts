// Measures what the pages /metrics/cadvisor and /metrics/resource tell, when they are asked for.
import type { Agent } from "./agent.ts";
import { type ContainerSample, measureNode, sampleContainers } from "./container-samples.ts";
import { cadvisorText, type PodLinks, resourceText } from "./kubelet-metrics.ts";
import type { NodeMachine } from "./node-status.ts";
import { readNetworks } from "./runtime/link-counters.ts";
import type { Runtime } from "./runtime/runtime.ts";

export interface KubeletPagesParts {
  readonly agent: () => Agent | undefined;
  readonly runtime: Runtime;
  readonly machine: NodeMachine;
  readonly now: () => number;
}

export async function resourcePage(parts: KubeletPagesParts): Promise<string> {
  return resourceText(await sampleContainers(parts), await measureNode());
}

export async function cadvisorPage(parts: KubeletPagesParts): Promise<string> {
  const { cpuMilli, memoryBytes } = parts.machine;
  const samples = await sampleContainers(parts);
  const links = await Promise.all(onePerPod(samples).map((sample) => linksOf(sample, parts.runtime)));
  return cadvisorText(samples, links, { cpuCores: cpuMilli / 1000, memoryBytes, nowMs: parts.now() });
}

/** Any of a pod's containers sees its links; those of the node are not a pod's. */
function onePerPod(samples: readonly ContainerSample[]): readonly ContainerSample[] {
  const own = samples.filter(({ pod }) => pod.spec?.hostNetwork !== true);
  return [...new Map(own.map((sample) => [sample.pod.metadata?.uid, sample])).values()];
}

async function linksOf({ id, labels: { namespace, pod } }: ContainerSample, runtime: Runtime): Promise<PodLinks> {
  const [pid] = await runtime.processes(id).catch(() => []);
  return { namespace, pod, links: pid === undefined ? {} : readNetworks(pid) };
}
