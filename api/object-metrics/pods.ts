// What Prometheus learns of Pods and their containers. Ids and addresses that change with each pod are on the info metric only.

import type { Container, ContainerStatus, Pod } from "../kinds/generated/types.ts";
import { hasEnded } from "../kinds/pod-phase.ts";
import { type Family, type Labels, oneOf, type Sample } from "./family.ts";
import { resourceSamples } from "./resources.ts";

const phases = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

const labelsOf = ({ metadata }: Pod) => ({
  namespace: metadata?.namespace ?? "",
  pod: metadata?.name ?? "",
  uid: metadata?.uid ?? "",
});

export const podFamilies: readonly Family<Pod>[] = [
  {
    name: "kube_pod_info",
    help: "Where the pod is and whose it is.",
    type: "gauge",
    samples: (pod) => {
      const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller === true);
      const labels = {
        ...labelsOf(pod),
        node: pod.spec?.nodeName ?? "",
        pod_ip: pod.status?.podIP ?? "",
        host_ip: pod.status?.hostIP ?? "",
        created_by_kind: owner?.kind ?? "",
        created_by_name: owner?.name ?? "",
      };
      return [[labels, 1]];
    },
  },
  {
    name: "kube_pod_status_phase",
    help: "The pod's phase: 1 for the one that it is in.",
    type: "gauge",
    samples: (pod) => oneOf(labelsOf(pod), "phase", phases, pod.status?.phase ?? "Pending"),
  },
  {
    name: "kube_pod_status_ready",
    help: "Whether the pod takes requests: 1 for the answer.",
    type: "gauge",
    samples: (pod) => {
      const ready = pod.status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "False";
      return oneOf(labelsOf(pod), "condition", ["true", "false", "unknown"], ready.toLowerCase());
    },
  },
  {
    name: "kube_pod_status_scheduled",
    help: "Whether the pod has a node: 1 for the answer.",
    type: "gauge",
    samples: (pod) =>
      oneOf(labelsOf(pod), "condition", ["true", "false", "unknown"], pod.spec?.nodeName ? "true" : "false"),
  },
  {
    name: "kube_pod_container_status_restarts_total",
    help: "How often the container was started again.",
    type: "counter",
    samples: (pod) => statuses(pod, ({ restartCount }, labels) => [[labels, restartCount]]),
  },
  {
    name: "kube_pod_container_status_ready",
    help: "Whether the container is ready.",
    type: "gauge",
    samples: (pod) => statuses(pod, ({ ready }, labels) => [[labels, ready ? 1 : 0]]),
  },
  {
    name: "kube_pod_container_status_running",
    help: "Whether the container runs.",
    type: "gauge",
    samples: (pod) => statuses(pod, ({ state }, labels) => [[labels, state?.running === undefined ? 0 : 1]]),
  },
  {
    name: "kube_pod_container_status_waiting_reason",
    help: "Why the container does not run yet.",
    type: "gauge",
    samples: (pod) => statuses(pod, ({ state }, labels) => reason(labels, state?.waiting?.reason)),
  },
  {
    name: "kube_pod_container_status_last_terminated_reason",
    help: "How the container ended the last time.",
    type: "gauge",
    samples: (pod) => statuses(pod, ({ lastState }, labels) => reason(labels, lastState?.terminated?.reason)),
  },
  {
    name: "kube_pod_container_resource_requests",
    help: "What the container is promised, in cores and bytes.",
    type: "gauge",
    samples: (pod) => amounts(pod, ({ resources }) => resources?.requests),
  },
  {
    name: "kube_pod_container_resource_limits",
    help: "What the container may use at most, in cores and bytes.",
    type: "gauge",
    samples: (pod) => amounts(pod, ({ resources }) => resources?.limits),
  },
];

function statuses(pod: Pod, read: (status: ContainerStatus, labels: Labels) => readonly Sample[]): readonly Sample[] {
  return (pod.status?.containerStatuses ?? []).flatMap((status) =>
    read(status, { ...labelsOf(pod), container: status.name }),
  );
}

function reason(labels: Labels, text: string | undefined): readonly Sample[] {
  return text === undefined ? [] : [[{ ...labels, reason: text }, 1]];
}

function amounts(
  pod: Pod,
  read: (container: Container) => Readonly<Record<string, string | number>> | undefined,
): readonly Sample[] {
  if (hasEnded(pod)) return [];
  return (pod.spec?.containers ?? []).flatMap((container) =>
    resourceSamples(read(container), {
      ...labelsOf(pod),
      container: container.name,
      node: pod.spec?.nodeName ?? "",
    }),
  );
}
