// The network of a build's RUN steps: the default bridge, as for any container.
import { readFileSync } from "node:fs";
import type { BuildNetwork } from "../../build/run-step.ts";
import { parseResolv, resolvFile } from "../containers/etc-files.ts";
import type { LiveEndpoint } from "../containers/record.ts";
import type { Networks } from "./networks.ts";

export function buildNetwork(networks: Networks): BuildNetwork {
  const live = new Map<string, LiveEndpoint>();
  return {
    join: async (id, networkPath) => {
      const network = networks.find("bridge");
      const endpoint = {
        networkId: network.id,
        aliases: [],
        wantedIp: "",
        wantedMac: "",
        driverOpts: {},
        gwPriority: 0,
        live: undefined,
      };
      const where = { containerId: id, netns: networkPath, number: 0, isDefault: true };
      live.set(id, await networks.attach(network, endpoint, where));
      const { search, options } = parseResolv(readFileSync("/etc/resolv.conf", "utf8"));
      return { resolvConf: resolvFile({ servers: [network.gateway], search, options }) };
    },
    leave: async (id) => {
      const endpoint = live.get(id);
      live.delete(id);
      // The link goes with its namespace.
      if (endpoint !== undefined) networks.release(networks.find("bridge").id, endpoint);
    },
  };
}
