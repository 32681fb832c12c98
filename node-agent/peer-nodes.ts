// The cluster's nodes as holders of images.
import { conditionOf } from "../api/kinds/conditions.ts";
import type { Node } from "../api/kinds/generated/types.ts";
import type { PeerNode } from "./images/cluster-peers.ts";

/** Those that are ready and say where they can be asked. */
export function peerNodes(nodes: readonly Node[]): readonly PeerNode[] {
  return nodes.flatMap(({ metadata, status }) => {
    const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
    if (address === undefined || port === undefined) return [];
    if (conditionOf(status?.conditions, "Ready")?.status !== "True") return [];
    const host = address.includes(":") ? `[${address}]` : address;
    return [{ name: metadata?.name ?? "", url: `https://${host}:${port}/` }];
  });
}
