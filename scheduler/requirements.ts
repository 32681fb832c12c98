// What a pod asks of a node, worked out once per pod so that plugins only compare numbers and strings.
import type {
  NodeSelectorTerm,
  Pod,
  PodSpec,
  PreferredSchedulingTerm,
  Toleration,
} from "../api/kinds/generated/types.ts";
import { onlyNodeOf } from "../api/kinds/node-fit.ts";
import { totalRequests } from "../api/kinds/pod-requests.ts";
import { type Selector, selectorOf } from "../api/kinds/schema/selector.ts";

export interface SpreadRequirement {
  readonly topologyKey: string;
  readonly maxSkew: number;
  /** False: a wish (ScheduleAnyway). */
  readonly required: boolean;
  readonly selector: Selector;
}

export interface PodRequirements {
  readonly key: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  /** Other resources by name, such as "example.com/gpu". */
  readonly extended: Readonly<Record<string, number>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** Terms of which one must match; undefined: no demand. */
  readonly requiredTerms: readonly NodeSelectorTerm[] | undefined;
  /** The one node that they leave: no other is looked at. */
  readonly onlyNode: string | undefined;
  readonly preferredTerms: readonly PreferredSchedulingTerm[];
  /** For each volume that is on some nodes only, terms of which one must match; known when the pod is to be placed. */
  readonly volumeTerms: readonly (readonly NodeSelectorTerm[])[];
  readonly tolerations: readonly Toleration[];
  /** Of its RuntimeClass; known when the pod is to be placed. */
  readonly runtimeHandler: string | undefined;
  /** "hostIP/protocol/port" of every host port. */
  readonly hostPorts: readonly string[];
  readonly spread: readonly SpreadRequirement[];
  /** uid of the controller, whose pods are kept apart as a wish; "" when it has none. */
  readonly ownerUid: string;
  /** Pods of one class have the same demands on a node's own description and share what was found. */
  readonly classKey: string;
}

/** Works out what `pod` asks of a node. Throws on quantities that validation should have refused. */
export function requirementsOf(pod: Pod): PodRequirements {
  const spec: PodSpec = pod.spec ?? { containers: [] };
  const requests = totalRequests(spec);
  const { cpu = 0, memory = 0, "ephemeral-storage": storage = 0, ...extended } = requests;
  const affinity = spec.affinity?.nodeAffinity;
  const nodeSelector = spec.nodeSelector ?? {};
  const requiredTerms = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const preferredTerms = affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const tolerations = spec.tolerations ?? [];
  return {
    key: `${pod.metadata?.namespace ?? ""}/${pod.metadata?.name ?? ""}`,
    namespace: pod.metadata?.namespace ?? "",
    labels: pod.metadata?.labels ?? {},
    cpuMilli: cpu,
    memoryBytes: memory,
    storageBytes: storage,
    extended,
    nodeSelector,
    requiredTerms,
    onlyNode: onlyNodeOf(requiredTerms),
    preferredTerms,
    volumeTerms: [],
    tolerations,
    runtimeHandler: undefined,
    hostPorts: hostPortsOf(spec),
    spread: (spec.topologySpreadConstraints ?? []).map((constraint) => ({
      topologyKey: constraint.topologyKey,
      maxSkew: constraint.maxSkew,
      required: constraint.whenUnsatisfiable === "DoNotSchedule",
      // No selector counts no pods.
      selector: selectorOf(constraint.labelSelector) ?? [{ key: "", operator: "Exists", values: [] }],
    })),
    ownerUid: pod.metadata?.ownerReferences?.find((owner) => owner.controller === true)?.uid ?? "",
    classKey: JSON.stringify([nodeSelector, requiredTerms, preferredTerms, tolerations]),
  };
}

/** The same with what its volumes ask. */
export function withVolumeTerms(pod: PodRequirements, volumeTerms: PodRequirements["volumeTerms"]): PodRequirements {
  return volumeTerms.length === 0
    ? pod
    : { ...pod, volumeTerms, classKey: JSON.stringify([pod.classKey, volumeTerms]) };
}

/** The same with what its RuntimeClass asks. */
export function withRuntimeHandler(pod: PodRequirements, runtimeHandler: string | undefined): PodRequirements {
  return runtimeHandler === undefined
    ? pod
    : { ...pod, runtimeHandler, classKey: JSON.stringify([pod.classKey, runtimeHandler]) };
}

function hostPortsOf(spec: PodSpec): readonly string[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...sidecars, ...spec.containers].flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => port.hostPort !== undefined && port.hostPort > 0)
      .map((port) => `${port.hostIP || "0.0.0.0"}/${port.protocol ?? "TCP"}/${port.hostPort}`),
  );
}
