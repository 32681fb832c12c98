// Requests and limits as the kernel takes them, QoS class and who the OOM killer takes first. Pure.
// Source: Kubernetes, "Pod Quality of Service Classes", "Node-pressure Eviction" (oom_score_adj).
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { type QosClass, qosClassOf } from "../../api/kinds/qos.ts";
import { bytes, cpuMilli } from "../../api/kinds/schema/quantity.ts";
import type { Resources } from "../runtime/runtime.ts";

export const cpuPeriodUs = 100_000;
const cpuSharesMin = 2;
const cpuSharesMax = 262_144;
const cpuQuotaUsMin = 1000;
const pidsMaxDefault = 4096;

export function qosClass({ spec }: Pod): QosClass {
  return spec === undefined ? "BestEffort" : qosClassOf(spec);
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
  const { overhead = {} } = pod.spec ?? {};
  const over = (name: Counted) => amount(name, overhead[name]);
  const own = (kind: "requests" | "limits", name: Counted) => ownAmount(pod, kind, name);
  const cpuLimitMilli = own("limits", "cpu") || together(pod, "limits", "cpu");
  const memoryLimit = own("limits", "memory") || together(pod, "limits", "memory");
  return {
    cpuShares: sharesOf(podCpuMilli(pod)),
    ...(cpuLimitMilli === 0 ? {} : quotaOf(cpuLimitMilli + over("cpu"))),
    ...(memoryLimit === 0 ? {} : { memoryBytesMax: memoryLimit + over("memory") }),
  };
}

/** What it asks for. */
export function podCpuMilli(pod: Pod): number {
  const asked =
    ownAmount(pod, "requests", "cpu") || ownAmount(pod, "limits", "cpu") || together(pod, "requests", "cpu");
  return asked + amount("cpu", pod.spec?.overhead?.["cpu"]);
}

type Counted = "cpu" | "memory";

function ownAmount({ spec }: Pod, kind: "requests" | "limits", name: Counted): number {
  return amount(name, spec?.resources?.[kind]?.[name]);
}

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

export function sharesOf(cpuMilli: number): number {
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
