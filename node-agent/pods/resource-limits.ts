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
  const cpuRequestMilli = amount("cpu", requests?.["cpu"] ?? limits?.["cpu"]);
  const memoryBytesMax = amount("memory", limits?.["memory"]);
  return {
    cpuShares: sharesOf(cpuRequestMilli),
    ...quotaOf(amount("cpu", limits?.["cpu"])),
    ...(memoryBytesMax === 0 ? {} : { memoryBytesMax }),
    ...hugepages(limits),
    pidsMax: pidsMaxDefault,
    oomScoreAdj: oomScoreAdj(container, pod, memoryCapacityBytes),
  };
}

/**
 * Of the cgroup that a pod's containers share: what they ask for together, and a limit when each has one. Init containers
 * run before the others, so the largest of them counts. A pod's own `resources` and `overhead` go over that.
 */
export function podResources(pod: Pod): Resources {
  const { resources, overhead = {} } = pod.spec ?? {};
  const over = (name: Counted) => amount(name, overhead[name]);
  const own = (kind: "requests" | "limits", name: Counted) => amount(name, resources?.[kind]?.[name]);
  const cpuRequestMilli = own("requests", "cpu") || own("limits", "cpu") || together(pod, "requests", "cpu");
  const cpuLimitMilli = own("limits", "cpu") || together(pod, "limits", "cpu");
  const memoryLimit = own("limits", "memory") || together(pod, "limits", "memory");
  return {
    cpuShares: sharesOf(cpuRequestMilli + over("cpu")),
    ...(cpuLimitMilli === 0 ? {} : quotaOf(cpuLimitMilli + over("cpu"))),
    ...(memoryLimit === 0 ? {} : { memoryBytesMax: memoryLimit + over("memory") }),
  };
}

type Counted = "cpu" | "memory";

/** 0 when a limit is missing somewhere: then there is none together. */
function together(pod: Pod, kind: "requests" | "limits", name: Counted): number {
  const of = ({ resources }: Container) =>
    amount(name, resources?.[kind]?.[name] ?? (kind === "requests" ? resources?.limits?.[name] : undefined));
  const init = pod.spec?.initContainers ?? [];
  const whole = [...init, ...(pod.spec?.containers ?? [])];
  if (kind === "limits" && whole.some((container) => of(container) === 0)) return 0;
  let sidecars = 0;
  let largest = 0;
  for (const container of init) {
    if (container.restartPolicy === "Always") sidecars += of(container);
    largest = Math.max(largest, container.restartPolicy === "Always" ? sidecars : sidecars + of(container));
  }
  return Math.max(largest, sidecars + (pod.spec?.containers ?? []).reduce((sum, container) => sum + of(container), 0));
}

function sharesOf(cpuMilli: number): number {
  return Math.min(cpuSharesMax, Math.max(cpuSharesMin, Math.floor((cpuMilli * 1024) / 1000)));
}

function quotaOf(cpuMilli: number): Pick<Resources, "cpuQuotaUs" | "cpuPeriodUs"> {
  if (cpuMilli === 0) return {};
  return { cpuQuotaUs: Math.max(cpuQuotaUsMin, Math.floor((cpuMilli * cpuPeriodUs) / 1000)), cpuPeriodUs };
}

function hugepages(limits: Readonly<Record<string, string | number>> | undefined): Pick<Resources, "hugepages"> {
  const list = Object.entries(limits ?? {}).flatMap(([name, quantity]) => {
    const size = name.startsWith("hugepages-") ? bytes(name.slice("hugepages-".length)) : 0;
    return size === 0 ? [] : [{ pageSize: pageSizeName(size), bytesMax: bytes(quantity) }];
  });
  return list.length === 0 ? {} : { hugepages: list };
}

/** As the kernel names it: "64KB", "2MB", "1GB". */
function pageSizeName(sizeBytes: number): string {
  const units = ["B", "KB", "MB", "GB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(sizeBytes) / 10));
  return `${sizeBytes / 2 ** (10 * unit)}${units[unit]}`;
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

function amount(name: Counted, quantity: string | number | undefined): number {
  if (quantity === undefined) return 0;
  return name === "cpu" ? cpuMilli(quantity) : bytes(quantity);
}
