// A pod's quality of service class, out of its requests and limits.
// Source: Kubernetes documentation, "Pod Quality of Service Classes".
import type { PodSpec } from "./generated/types.ts";
import { compareQuantities, parseQuantity } from "./schema/quantity.ts";

export function qosClassOf(spec: PodSpec): "Guaranteed" | "Burstable" | "BestEffort" {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  let asks = false;
  let guaranteed = true;
  for (const { resources = {} } of containers) {
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
