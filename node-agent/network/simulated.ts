// A network without links, for the simulator and for tests: addresses are given out, the cluster's state is remembered.
import { type Address, AddressPool, formatAddress, parseRange } from "./addresses.ts";
import type { ClusterNetworkState, Network } from "./network.ts";

export interface SimulatedNetwork extends Network {
  /** What was applied last. */
  readonly cluster: ClusterNetworkState | undefined;
}

/** The part that outlives agents: hand the same one to the next network of the node. */
export class SimulatedLinks {
  pools: readonly AddressPool[] = [];
  readonly pods = new Map<string, readonly Address[]>();

  /** All is gone, as after a loss of power. */
  powerOff(): void {
    this.pools = [];
    this.pods.clear();
  }
}

export function openSimulatedNetwork(links: SimulatedLinks): SimulatedNetwork {
  let cluster: ClusterNetworkState | undefined;
  return {
    get cluster() {
      return cluster;
    },
    setUp: async ({ podCidrs }) => {
      links.pools = podCidrs.map((text) => {
        const range = parseRange(text);
        if (range === undefined) throw new Error(`${text} is no range of addresses`);
        const pool = new AddressPool(range);
        for (const addresses of links.pods.values()) for (const address of addresses) pool.reserve(address);
        return pool;
      });
    },
    attachPod: async (podUid) => {
      const addresses =
        links.pods.get(podUid) ??
        links.pools.map((pool) => {
          const address = pool.take();
          if (address === undefined) throw new Error("no address is left in the node's range");
          return address;
        });
      links.pods.set(podUid, addresses);
      return { ips: addresses.map(formatAddress) };
    },
    detachPod: async (podUid) => {
      for (const address of links.pods.get(podUid) ?? []) for (const pool of links.pools) pool.free(address);
      links.pods.delete(podUid);
    },
    applyCluster: (state) => {
      cluster = state;
    },
    attachedPods: async () => [...links.pods.keys()],
    resolvConf: (namespace) => `nameserver 10.96.0.10\nsearch ${namespace}.svc.cluster.local\n`,
    tearDown: async () => links.powerOff(),
    [Symbol.asyncDispose]: async () => {},
  };
}
