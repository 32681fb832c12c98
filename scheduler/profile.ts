// The plugins that decide, in the order in which filters are asked: cheap and final ones first.
import type { Profile } from "./plugin.ts";
import { balancedUse } from "./plugins/balanced-use.ts";
import { hostPorts } from "./plugins/host-ports.ts";
import { leastUsed } from "./plugins/least-used.ts";
import { nodeAffinity, preferredNodeAffinity } from "./plugins/node-affinity.ts";
import { ownerSpread } from "./plugins/owner-spread.ts";
import { resourceFit } from "./plugins/resource-fit.ts";
import { runtimeHandler } from "./plugins/runtime-handler.ts";
import { taints } from "./plugins/taints.ts";
import { topologySpread, topologySpreadScore } from "./plugins/topology-spread.ts";
import { unschedulable } from "./plugins/unschedulable.ts";
import { volumeAffinity } from "./plugins/volume-affinity.ts";

export const defaultProfile: Profile = {
  filters: [
    unschedulable,
    taints,
    nodeAffinity,
    runtimeHandler,
    volumeAffinity,
    resourceFit,
    hostPorts,
    topologySpread,
  ],
  scores: [leastUsed, balancedUse, preferredNodeAffinity, topologySpreadScore, ownerSpread],
};
