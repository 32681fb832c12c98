// Gives every node a range of pod addresses of its own.
import { nodes } from "../api/kinds/generated/resources.ts";
import type { StartController } from "./context.ts";

/** The first free /24 of `clusterCidr` ("10.244.0.0/16"); undefined when all are given away. */
export function nextRange(clusterCidr: string, taken: ReadonlySet<string>): string | undefined {
  const [address = "", bits = "16"] = clusterCidr.split("/");
  const base = address.split(".").reduce((value, part) => value * 256 + Number(part), 0);
  for (let i = 0; i < 2 ** (24 - Number(bits)); i++) {
    const start = base + i * 256;
    const range = `${[24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join(".")}/24`;
    if (!taken.has(range)) return range;
  }
  return undefined;
}

export const startNodeRangeController: StartController = ({
  client,
  informers,
  recorder,
  clusterCidr,
  loop: start,
}) => {
  // One pass at a time over all nodes: two nodes must not get the same range. What was given counts before the cache shows it.
  const given = new Map<string, string>();
  const loop = start({
    name: "node-range",
    concurrency: 1,
    reconcile: async (name) => {
      const node = informers.nodes.get(name);
      if (node === undefined) {
        given.delete(name);
        return undefined;
      }
      if (node.spec?.podCIDR !== undefined) return undefined;
      const taken = new Set([...given.values(), ...[...informers.nodes.list()].map(({ spec }) => spec?.podCIDR ?? "")]);
      const range = given.get(name) ?? nextRange(clusterCidr, taken);
      if (range === undefined) {
        recorder.record(
          { resource: nodes, object: node },
          "Warning",
          "CIDRNotAvailable",
          `no /24 is left in ${clusterCidr}: give the server a larger --cluster-cidr`,
        );
        return { afterMs: 60_000 };
      }
      given.set(name, range);
      await client.patch(nodes, { name }, { type: "merge", body: { spec: { podCIDR: range, podCIDRs: [range] } } });
      return undefined;
    },
  });
  informers.nodes.onChange((key) => loop.add(key));
  return loop;
};
