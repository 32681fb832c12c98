// Which other node to ask for an image: one node fetches it from outside for all of them, chosen by the image's name, so that
// no two have to agree (rendezvous hashing).
import { createHash } from "node:crypto";

/** A node that serves images to its peers (image-door.ts). */
export interface PeerNode {
  readonly name: string;
  /** "https://10.0.0.2:10250/" */
  readonly url: string;
}

/** The node's place among others that hold images. */
export interface ClusterPeers {
  readonly nodeName: string;
  /** Ready nodes, this one among them. */
  nodes(): readonly PeerNode[];
  /** What this node shows its peers, and whom it believes. */
  tls(): { readonly cert: string; readonly key: string; readonly ca: string };
}

/** Peers that are asked at a time for what no registry has. */
export const peersAskedMax = 16;

/** The node that fetches `name` for all; undefined when that is this node itself or it is alone. */
export function ownerOf(name: string, { nodeName, nodes }: ClusterPeers): PeerNode | undefined {
  let owner: { readonly node: PeerNode; readonly weight: string } | undefined;
  for (const node of nodes()) {
    const weight = createHash("sha256").update(`${name}\n${node.name}`).digest("hex");
    if (owner === undefined || weight > owner.weight) owner = { node, weight };
  }
  return owner === undefined || owner.node.name === nodeName ? undefined : owner.node;
}

/** The others, those that `name` would be fetched by first, so that not everybody asks the same one. */
export function othersFor(name: string, { nodeName, nodes }: ClusterPeers): readonly PeerNode[] {
  const weightOf = (node: PeerNode) => createHash("sha256").update(`${name}\n${node.name}`).digest("hex");
  return nodes()
    .filter((node) => node.name !== nodeName)
    .map((node) => ({ node, weight: weightOf(node) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : -1))
    .slice(0, peersAskedMax)
    .map(({ node }) => node);
}
