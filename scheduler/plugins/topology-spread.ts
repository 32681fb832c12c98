// topologySpreadConstraints: how evenly pods lie over zones, hosts or any other label.
// Source: Kubernetes, "Pod Topology Spread Constraints".
import { matches } from "../../api/kinds/schema/selector.ts";
import type { Filter, Score } from "../plugin.ts";
import type { PodRequirements, SpreadRequirement } from "../requirements.ts";
import { type Snapshot, spreadCountOf } from "../snapshot.ts";

interface Domains {
  readonly requirement: SpreadRequirement;
  readonly pods: ReadonlyMap<string, number>;
  readonly fewest: number;
  readonly most: number;
  /** 1 when the pod itself counts, as it nearly always does. */
  readonly self: 0 | 1;
}

export const topologySpread: Filter = {
  name: "TopologySpread",
  looksAt: "use",
  prepare: (pod, snapshot) => {
    const domains = pod.spread
      .filter(({ required }) => required)
      .map((requirement) => countDomains(pod, snapshot, requirement));
    if (domains.length === 0) return undefined;
    const broken = (slot: number) =>
      domains.find(({ requirement, pods, fewest, self }) => {
        const domain = snapshot.labels[slot]?.[requirement.topologyKey];
        return domain === undefined || (pods.get(domain) ?? 0) + self - fewest > requirement.maxSkew;
      });
    return {
      fits: (slot) => broken(slot) === undefined,
      refuse: (slot) => {
        const requirement = broken(slot)?.requirement;
        const key = requirement?.topologyKey ?? "";
        return {
          group: `spread ${key}`,
          say: (nodes) =>
            `would make pods lie unevenly over ${key} (maxSkew ${requirement?.maxSkew})${nodes === 1 ? "" : " each"}`,
        };
      },
    };
  },
};

export const topologySpreadScore: Score = {
  name: "TopologySpreadScore",
  weight: 5,
  prepare: (pod, snapshot) => {
    const domains = pod.spread
      .filter(({ required }) => !required)
      .map((requirement) => countDomains(pod, snapshot, requirement));
    if (domains.length === 0) return undefined;
    return (slot) => {
      let sum = 0;
      for (const { requirement, pods, most } of domains) {
        const domain = snapshot.labels[slot]?.[requirement.topologyKey];
        if (domain !== undefined) sum += most === 0 ? 100 : (100 * (most - (pods.get(domain) ?? 0))) / most;
      }
      return sum / domains.length;
    };
  },
};

// Only nodes that the pod could be on by its own labels make domains, so that a zone it may not use does not hold the others back.
function countDomains(pod: PodRequirements, snapshot: Snapshot, requirement: SpreadRequirement): Domains {
  const perNode = spreadCountOf(snapshot, pod.namespace, requirement);
  const pods = new Map<string, number>();
  for (let slot = 0; slot < snapshot.size; slot++) {
    if (snapshot.names[slot] === "") continue;
    const domain = snapshot.labels[slot]?.[requirement.topologyKey];
    if (domain === undefined || !selectorMatches(pod, snapshot, slot)) continue;
    pods.set(domain, (pods.get(domain) ?? 0) + (perNode.get(slot) ?? 0));
  }
  const counts = [...pods.values()];
  return {
    requirement,
    pods,
    fewest: counts.length === 0 ? 0 : Math.min(...counts),
    most: counts.length === 0 ? 0 : Math.max(...counts),
    self: matches(requirement.selector, pod.labels) ? 1 : 0,
  };
}

function selectorMatches(pod: PodRequirements, snapshot: Snapshot, slot: number): boolean {
  for (const key in pod.nodeSelector) if (snapshot.labels[slot]?.[key] !== pod.nodeSelector[key]) return false;
  return true;
}
