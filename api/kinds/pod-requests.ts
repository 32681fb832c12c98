// What a pod asks of a node in sum: the scheduler places by it, and a node lets a pod in by it.
// Source: Kubernetes, "Resource sharing within containers" of init containers; "Pod-level resource specification"; "Pod Overhead".
import type { PodSpec } from "./generated/types.ts";
import { bytes, cpuMilli } from "./schema/quantity.ts";

/** Thousandths for cpu, whole units for everything else. */
export function amountOf(resource: string, quantity: string | number): number {
  return resource === "cpu" ? cpuMilli(quantity) : bytes(quantity);
}

/** Containers run together, init containers one after another before them; sidecars (restartable init containers) stay. */
export function totalRequests(spec: PodSpec): Readonly<Record<string, number>> {
  const running: Record<string, number> = {};
  for (const container of spec.containers) add(running, container.resources?.requests);
  const peak: Record<string, number> = {};
  const sidecars: Record<string, number> = {};
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === "Always") {
      add(sidecars, container.resources?.requests);
      raise(peak, sidecars);
    } else {
      const during = { ...sidecars };
      add(during, container.resources?.requests);
      raise(peak, during);
    }
  }
  for (const [name, amount] of Object.entries(sidecars)) running[name] = (running[name] ?? 0) + amount;
  raise(running, peak);
  // What the pod asks for as a whole takes the place of what its containers ask for.
  for (const [name, quantity] of Object.entries(spec.resources?.requests ?? {}))
    running[name] = amountOf(name, quantity);
  add(running, spec.overhead);
  return running;
}

function add(total: Record<string, number>, requests: Readonly<Record<string, string | number>> | undefined): void {
  for (const [name, quantity] of Object.entries(requests ?? {})) {
    total[name] = (total[name] ?? 0) + amountOf(name, quantity);
  }
}

function raise(total: Record<string, number>, other: Readonly<Record<string, number>>): void {
  for (const [name, amount] of Object.entries(other)) total[name] = Math.max(total[name] ?? 0, amount);
}
