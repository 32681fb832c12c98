// The state of objects as metrics, from the watch cache, at each scrape.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { WatchCache } from "../cache/watch-cache.ts";
import { cronjobs, daemonsets, deployments, jobs, nodes, pods } from "../kinds/generated/resources.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { cronJobFamilies, daemonSetFamilies, jobFamilies } from "./batch.ts";
import { deploymentFamilies } from "./deployments.ts";
import { type Family, printHead, printSamples } from "./family.ts";
import { nodeFamilies } from "./nodes.ts";
import { podFamilies } from "./pods.ts";

/** Of each kind; what lies beyond is left out and said to be. A pod makes about 25 lines of 100 bytes. */
const objectsMax = 10_000;
/** Nodes' signs of life must not wait for a long answer: so many objects are printed in one go. */
const objectsAtOnce = 250;

export async function printObjectMetrics(cache: WatchCache): Promise<Buffer> {
  const parts: Buffer[] = [];
  const leftOut: (readonly [resource: string, count: number])[] = [];
  const print = async <T extends KubeObject>(resource: Resource<T>, families: readonly Family<T>[]) => {
    const objects = cache.list(resource).items.map(({ object }) => object);
    leftOut.push([resource.resource, Math.max(0, objects.length - objectsMax)]);
    for (const family of families) {
      parts.push(Buffer.from(printHead(family)));
      for (let at = 0; at < Math.min(objects.length, objectsMax); at += objectsAtOnce) {
        const some = objects.slice(at, Math.min(at + objectsAtOnce, objectsMax));
        parts.push(Buffer.from(printSamples(family, some)));
        await nextTurn();
      }
    }
  };
  await print(nodes, nodeFamilies);
  await print(deployments, deploymentFamilies);
  await print(daemonsets, daemonSetFamilies);
  await print(jobs, jobFamilies);
  await print(cronjobs, cronJobFamilies);
  await print(pods, podFamilies);
  parts.push(Buffer.from(printHead(leftOutFamily) + printSamples(leftOutFamily, leftOut)));
  return Buffer.concat(parts);
}

const leftOutFamily: Family<readonly [resource: string, count: number]> = {
  name: "naru_object_metrics_left_out",
  help: "Objects that are too many to be shown here one by one.",
  type: "gauge",
  samples: ([resource, count]) => [[{ resource }, count]],
};
