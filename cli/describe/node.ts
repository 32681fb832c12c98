// A node: what it is, what it offers and what of that is promised, and who runs there.
import { nodes, pods } from "../../api/kinds/generated/resources.ts";
import type { Node, Pod } from "../../api/kinds/generated/types.ts";
import { summarize } from "../../api/kinds/pod-columns.ts";
import { hasEnded } from "../../api/kinds/pod-phase.ts";
import { amountOf, totalRequests } from "../../api/kinds/pod-requests.ts";
import { ageOf } from "../../api/kinds/schema/human-age.ts";
import { pathOf } from "../resources.ts";
import { conditionsPart, metadataRows } from "./common.ts";
import type { Describer } from "./describers.ts";
import type { Part } from "./layout.ts";

export const nodeDescriber: Describer<Node> = {
  resource: nodes,
  describe: async (node, { list, nowMs }) => {
    const fieldSelector = `spec.nodeName=${node.metadata?.name}`;
    return nodeParts(node, await list<Pod>(pathOf(pods, undefined), { fieldSelector }), nowMs);
  },
};

export function nodeParts(node: Node, bound: readonly Pod[], nowMs: number): readonly Part[] {
  const { spec = {}, status = {} } = node;
  const { nodeInfo } = status;
  return [
    {
      type: "fields",
      rows: [
        ...metadataRows(node, nowMs),
        ["Taints", (spec.taints ?? []).map(({ key, value, effect }) => `${key}${value ? `=${value}` : ""}:${effect}`)],
        ["Takes new pods", spec.unschedulable === true ? "no: it is cordoned" : "yes"],
        ["Addresses", (status.addresses ?? []).map(({ type, address }) => `${address} (${type})`)],
        ["Pods' addresses", spec.podCIDRs ?? []],
        [
          "System",
          nodeInfo === undefined
            ? ""
            : `${nodeInfo.osImage}, Linux ${nodeInfo.kernelVersion}, ${nodeInfo.architecture}`,
        ],
        ["Runtime", nodeInfo?.containerRuntimeVersion ?? ""],
        [
          "Images",
          status.images === undefined ? "" : `${status.images.length}: \`naru image ls --node ${node.metadata?.name}\``,
        ],
      ],
    },
    conditionsPart(status.conditions),
    resourcesPart(node, bound),
    {
      type: "table",
      title: "Pods",
      header: ["NAMESPACE", "NAME", "READY", "STATUS", "CPU", "MEMORY", "AGE"],
      rows: bound.map((pod) => {
        const { ready, total, status: word } = summarize(pod);
        const { namespace = "", name = "", creationTimestamp } = pod.metadata ?? {};
        const { cpu = 0, memory = 0 } = pod.spec === undefined ? {} : totalRequests(pod.spec);
        return [
          namespace,
          name,
          `${ready}/${total}`,
          word,
          amountText("cpu", cpu),
          amountText("memory", memory),
          ageOf(creationTimestamp, nowMs),
        ];
      }),
    },
  ];
}

/** What pods that have not ended were promised, of what the node offers. */
function resourcesPart({ status = {} }: Node, bound: readonly Pod[]): Part {
  const running = bound.filter((pod) => !hasEnded(pod));
  const totals = running.flatMap(({ spec }) => (spec === undefined ? [] : [totalRequests(spec)]));
  return {
    type: "table",
    title: "Resources",
    header: ["RESOURCE", "OF THE MACHINE", "FOR PODS", "PROMISED"],
    rows: Object.entries(status.allocatable ?? {})
      .filter(([name, quantity]) => amountOf(name, quantity) > 0)
      .map(([name, quantity]) => {
        const offered = amountOf(name, quantity);
        const promised = name === "pods" ? running.length : totals.reduce((sum, total) => sum + (total[name] ?? 0), 0);
        const share = Math.round((promised / offered) * 100);
        return [
          name,
          amountText(name, amountOf(name, status.capacity?.[name] ?? 0)),
          amountText(name, offered),
          `${amountText(name, promised)} (${share}%)`,
        ];
      }),
  };
}

function amountText(resource: string, amount: number): string {
  if (resource === "cpu") return `${amount}m`;
  if (resource === "memory" || resource === "ephemeral-storage") return `${Math.round(amount / 1024 ** 2)}Mi`;
  return String(amount);
}
