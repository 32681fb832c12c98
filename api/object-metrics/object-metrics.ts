// The state of objects as metrics, from the watch cache, at each scrape.
import type { WatchCache } from "../cache/watch-cache.ts";
import { deployments, nodes, pods } from "../kinds/generated/resources.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { deploymentFamilies } from "./deployments.ts";
import { type Family, printFamilies } from "./family.ts";
import { nodeFamilies } from "./nodes.ts";
import { podFamilies } from "./pods.ts";

/** Of each kind; what lies beyond is left out and said to be. A pod makes about 30 lines of 120 bytes. */
const objectsMax = 20_000;

export function printObjectMetrics(cache: WatchCache): string {
  const leftOut: (readonly [resource: string, count: number])[] = [];
  const print = <T extends KubeObject>(resource: Resource<T>, families: readonly Family<T>[]) => {
    const objects = cache.list(resource).items.map(({ object }) => object);
    leftOut.push([resource.resource, Math.max(0, objects.length - objectsMax)]);
    return printFamilies(families, objects.slice(0, objectsMax));
  };
  const text = print(nodes, nodeFamilies) + print(deployments, deploymentFamilies) + print(pods, podFamilies);
  return text + printFamilies([leftOutFamily], leftOut);
}

const leftOutFamily: Family<readonly [resource: string, count: number]> = {
  name: "naru_object_metrics_left_out",
  help: "Objects that are too many to be shown here one by one.",
  type: "gauge",
  samples: ([resource, count]) => [[{ resource }, count]],
};
