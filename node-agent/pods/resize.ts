// In-place resize: CPU and memory of containers that run, changed as the node has room. Pure.
// Source: Kubernetes documentation, "Resize CPU and Memory Resources assigned to Containers", pod resize status.
import type { Container, Pod, PodCondition, PodStatus, ResourceRequirements } from "../../api/kinds/generated/types.ts";
import { totalRequests } from "../../api/kinds/pod-requests.ts";
import { bytes, cpuMilli } from "../../api/kinds/schema/quantity.ts";
import { timestamp } from "../../lib/clock.ts";
import type { NodeFacts } from "./field-values.ts";
import { containersOf } from "./pod-state.ts";

/** What each container has been given, by its name. */
export type Allocation = ReadonlyMap<string, ResourceRequirements>;

export interface Resize {
  /** "PodResizePending": the node has no room, never or not yet. "PodResizeInProgress": the kernel refused. */
  readonly condition: "PodResizePending" | "PodResizeInProgress";
  readonly reason: "Infeasible" | "Deferred" | "Error";
  readonly message: string;
}

/** From the pod's status when the agent knew it before, else what its spec says. */
export function allocationOf(pod: Pod): Allocation {
  const reported = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return new Map(
    containersOf(pod).map(({ container }) => {
      const known = reported.find(({ name }) => name === container.name)?.resources;
      return [container.name, known ?? container.resources ?? {}] as const;
    }),
  );
}

/** The pod with what its containers have been given in place of what they want. */
export function allocatedPod(pod: Pod, allocation: Allocation): Pod {
  if (pod.spec === undefined) return pod;
  const given = <T extends Container>(container: T): T => {
    const resources = allocation.get(container.name);
    return resources === undefined ? container : { ...container, resources };
  };
  const { containers, initContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: containers.map(given),
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(given) }),
    },
  };
}

/** Containers that want other resources than they have. */
export function toResize(pod: Pod, allocation: Allocation): readonly Container[] {
  return containersOf(pod)
    .map(({ container }) => container)
    .filter(({ name, resources }) => {
      const given = allocation.get(name);
      return given !== undefined && !same(given, resources ?? {});
    });
}

/** Why the node cannot give it, now or ever; undefined when it can. `others`: the node's other pods, with what they have. */
export function resizeRefusal(pod: Pod, others: readonly Pod[], node: NodeFacts): Resize | undefined {
  for (const name of ["cpu", "memory"] as const) {
    const allocatable = name === "cpu" ? node.allocatableCpuMilli : node.allocatableMemoryBytes;
    const wanted = requestedOf(pod, name);
    const taken = others.reduce((sum, other) => sum + requestedOf(other, name), 0);
    const words = `Node didn't have enough ${name}`;
    const message = (used: number) => `${words}: requested: ${wanted}, used: ${used}, capacity: ${allocatable}`;
    if (wanted > allocatable) return { condition: "PodResizePending", reason: "Infeasible", message: message(0) };
    if (wanted + taken > allocatable)
      return { condition: "PodResizePending", reason: "Deferred", message: message(taken) };
  }
  return undefined;
}

/** Its resizePolicy wants a restart for something that changes. */
export function needsRestart({ resizePolicy = [], resources = {} }: Container, before: ResourceRequirements): boolean {
  const changed = (name: string) =>
    (["limits", "requests"] as const).some(
      (kind) => amount(name, resources[kind]?.[name]) !== amount(name, before[kind]?.[name]),
    );
  return resizePolicy.some(
    ({ resourceName, restartPolicy }) => restartPolicy === "RestartContainer" && changed(resourceName),
  );
}

/** A status that says what containers have, and what keeps them from what they want. */
export function withResize(
  status: PodStatus,
  {
    actual,
    resize,
    nowMs,
  }: { readonly actual: Allocation; readonly resize: Resize | undefined; readonly nowMs: number },
): PodStatus {
  const given = (statuses: PodStatus["containerStatuses"]) =>
    statuses?.map((each) => {
      const resources = actual.get(each.name);
      if (resources === undefined || Object.keys(resources).length === 0) return each;
      const { requests } = resources;
      return { ...each, resources, ...(requests === undefined ? {} : { allocatedResources: requests }) };
    });
  const [containerStatuses, initContainerStatuses] = [
    given(status.containerStatuses),
    given(status.initContainerStatuses),
  ];
  return {
    ...status,
    ...(containerStatuses === undefined ? {} : { containerStatuses }),
    ...(initContainerStatuses === undefined ? {} : { initContainerStatuses }),
    conditions: [
      ...(status.conditions ?? []).filter(({ type }) => type !== "PodResizePending" && type !== "PodResizeInProgress"),
      ...(resize === undefined ? [] : [conditionOf(resize, status, nowMs)]),
    ],
  };
}

function conditionOf({ condition, reason, message }: Resize, status: PodStatus, nowMs: number): PodCondition {
  const before = status.conditions?.find(({ type }) => type === condition);
  return {
    type: condition,
    status: "True",
    reason,
    message,
    lastTransitionTime: before?.lastTransitionTime ?? timestamp(nowMs),
  };
}

function same(one: ResourceRequirements, other: ResourceRequirements): boolean {
  return (["limits", "requests"] as const).every((kind) =>
    [...new Set([...Object.keys(one[kind] ?? {}), ...Object.keys(other[kind] ?? {})])].every(
      (name) => amount(name, one[kind]?.[name]) === amount(name, other[kind]?.[name]),
    ),
  );
}

function amount(name: string, quantity: string | number | undefined): number {
  if (quantity === undefined) return 0;
  return name === "cpu" ? cpuMilli(quantity) : bytes(quantity);
}

function requestedOf({ spec }: Pod, name: "cpu" | "memory"): number {
  return spec === undefined ? 0 : (totalRequests(spec)[name] ?? 0);
}
