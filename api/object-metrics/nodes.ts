// What Prometheus learns of Nodes.
import type { Node } from "../kinds/generated/types.ts";
import { type Family, oneOf, type Sample } from "./family.ts";
import { resourceSamples } from "./resources.ts";

const labelsOf = ({ metadata }: Node) => ({ node: metadata?.name ?? "" });

export const nodeFamilies: readonly Family<Node>[] = [
  {
    name: "kube_node_info",
    help: "What the node is.",
    type: "gauge",
    samples: (node) => {
      const { nodeInfo: info, addresses } = node.status ?? {};
      const labels = {
        ...labelsOf(node),
        kernel_version: info?.kernelVersion ?? "",
        os_image: info?.osImage ?? "",
        container_runtime_version: info?.containerRuntimeVersion ?? "",
        kubelet_version: info?.kubeletVersion ?? "",
        internal_ip: addresses?.find(({ type }) => type === "InternalIP")?.address ?? "",
        pod_cidr: node.spec?.podCIDR ?? "",
      };
      return [[labels, 1]];
    },
  },
  {
    name: "kube_node_status_condition",
    help: "The node's conditions: 1 for the status that each has.",
    type: "gauge",
    samples: (node) =>
      (node.status?.conditions ?? []).flatMap(({ type, status }): readonly Sample[] =>
        oneOf({ ...labelsOf(node), condition: type }, "status", ["true", "false", "unknown"], status.toLowerCase()),
      ),
  },
  {
    name: "kube_node_spec_unschedulable",
    help: "Whether the node takes no new pods.",
    type: "gauge",
    samples: (node) => [[labelsOf(node), node.spec?.unschedulable === true ? 1 : 0]],
  },
  {
    name: "kube_node_status_capacity",
    help: "What the node has, in cores, bytes and pods.",
    type: "gauge",
    samples: (node) => resourceSamples(node.status?.capacity, labelsOf(node)),
  },
  {
    name: "kube_node_status_allocatable",
    help: "What the node offers to pods, in cores, bytes and pods.",
    type: "gauge",
    samples: (node) => resourceSamples(node.status?.allocatable, labelsOf(node)),
  },
];
