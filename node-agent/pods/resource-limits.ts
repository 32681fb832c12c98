// Requests and limits as the kernel takes them, QoS class and who the OOM killer takes first. Pure.
// Source: Kubernetes, "Pod Quality of Service Classes", "Node-pressure Eviction" (oom_score_adj).
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { bytes, cpuMilli } from "../../api/kinds/schema/quantity.ts";
import type { Resources } from "../runtime/runtime.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

const cpuPeriodUs = 100_000;
const cpuSharesMin = 2;
const cpuSharesMax = 262_144;
const cpuQuotaUsMin = 1000;
const pidsMaxDefault = 4096;

export function qosClass(pod: Pod): QosClass {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  let any = false;
  let guaranteed = true;
  for (const { resources } of containers) {
    for (const name of ["cpu", "memory"] as const) {
      const limit = resources?.limits?.[name];
      const request = resources?.requests?.[name] ?? limit;
      if (amount(name, request) > 0 || amount(name, limit) > 0) any = true;
      if (amount(name, limit) === 0 || amount(name, limit) !== amount(name, request)) guaranteed = false;
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

export function containerResources(container: Container, pod: Pod, memoryCapacityBytes: number): Resources {
  const { limits, requests } = container.resources ?? {};
  const cpuLimitMilli = amount("cpu", limits?.["cpu"]);
  const cpuRequestMilli = amount("cpu", requests?.["cpu"] ?? limits?.["cpu"]);
  const memoryBytesMax = amount("memory", limits?.["memory"]);
  return {
    cpuShares: Math.min(cpuSharesMax, Math.max(cpuSharesMin, Math.floor((cpuRequestMilli * 1024) / 1000))),
    ...(cpuLimitMilli === 0
      ? {}
      : { cpuQuotaUs: Math.max(cpuQuotaUsMin, Math.floor((cpuLimitMilli * cpuPeriodUs) / 1000)), cpuPeriodUs }),
    ...(memoryBytesMax === 0 ? {} : { memoryBytesMax }),
    pidsMax: pidsMaxDefault,
    oomScoreAdj: oomScoreAdj(container, pod, memoryCapacityBytes),
  };
}

// Burstable: the more of the node's memory it asked for, the later it goes.
function oomScoreAdj(container: Container, pod: Pod, memoryCapacityBytes: number): number {
  switch (qosClass(pod)) {
    case "Guaranteed":
      return -997;
    case "BestEffort":
      return 1000;
    case "Burstable": {
      const { limits, requests } = container.resources ?? {};
      const memoryRequest = amount("memory", requests?.["memory"] ?? limits?.["memory"]);
      const score = 1000 - Math.floor((1000 * memoryRequest) / Math.max(1, memoryCapacityBytes));
      return Math.min(999, Math.max(3, score));
    }
  }
}

function amount(name: "cpu" | "memory", quantity: string | number | undefined): number {
  if (quantity === undefined) return 0;
  return name === "cpu" ? cpuMilli(quantity) : bytes(quantity);
}
