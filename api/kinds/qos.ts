// A pod's quality of service class, out of its requests and limits.
// Source: Kubernetes documentation, "Pod Quality of Service Classes".
import type { PodSpec } from "./generated/types.ts";
import { compareQuantities, parseQuantity } from "./schema/quantity.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

export function qosClassOf(spec: PodSpec): QosClass {
  const { requests = {}, limits = {} } = spec.resources ?? {};
  // What a pod asks for as a whole goes before what its containers ask for.
  const asOne = [...Object.values(requests), ...Object.values(limits)].some(positive);
  const parts = asOne ? [spec] : [...spec.containers, ...(spec.initContainers ?? [])];
  let asks = false;
  let guaranteed = true;
  for (const { resources = {} } of parts) {
    for (const name of ["cpu", "memory"]) {
      const limit = resources.limits?.[name];
      const request = resources.requests?.[name] ?? limit;
      if (positive(limit) || positive(request)) asks = true;
      if (!positive(limit) || limit === undefined || request === undefined || compareQuantities(limit, request) !== 0)
        guaranteed = false;
    }
  }
  if (!asks) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

function positive(quantity: string | number | undefined): boolean {
  return quantity !== undefined && (parseQuantity(quantity)?.nanos ?? 0n) > 0n;
}
