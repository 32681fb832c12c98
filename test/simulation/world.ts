// What is durable, seen from outside: fed by each commit in the instant in which it happens, so that no component's view is trusted.
import {
  deployments,
  endpointslices,
  nodes,
  pods,
  replicasets,
  services,
} from "../../api/kinds/generated/resources.ts";
import type { Deployment, EndpointSlice, Node, Pod, ReplicaSet, Service } from "../../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { resourcePrefix } from "../../api/store/keys.ts";
import type { Transaction } from "../../api/store/store.ts";

export interface World {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly deployments: ReadonlyMap<string, Deployment>;
  readonly replicaSets: ReadonlyMap<string, ReplicaSet>;
  readonly services: ReadonlyMap<string, Service>;
  readonly endpointSlices: ReadonlyMap<string, EndpointSlice>;
  /** Commits that changed anything but Leases and Events. */
  readonly commits: number;
  /** What may never be seen, in one commit or between two. */
  readonly violations: readonly string[];
  take(transaction: Transaction): void;
}

export function openWorld(): World {
  const violations: string[] = [];
  let commits = 0;
  const table = <T extends KubeObject>(resource: Resource<T>) => {
    const objects = new Map<string, T>();
    return { prefix: resourcePrefix(resource), objects };
  };
  const tables = {
    pods: table(pods),
    nodes: table(nodes),
    deployments: table(deployments),
    replicaSets: table(replicasets),
    services: table(services),
    endpointSlices: table(endpointslices),
  };
  const known = Object.values(tables) as readonly { prefix: string; objects: Map<string, KubeObject> }[];

  const checkPod = (key: string, before: Pod | undefined, after: Pod) => {
    if (before === undefined || before.metadata?.uid !== after.metadata?.uid) return;
    const [was, is] = [before.spec?.nodeName ?? "", after.spec?.nodeName ?? ""];
    if (was !== "" && was !== is) violations.push(`pod ${key} moved from ${was} to ${is}`);
  };

  return {
    pods: tables.pods.objects,
    nodes: tables.nodes.objects,
    deployments: tables.deployments.objects,
    replicaSets: tables.replicaSets.objects,
    services: tables.services.objects,
    endpointSlices: tables.endpointSlices.objects,
    get commits() {
      return commits;
    },
    violations,
    take: ({ operations }) => {
      if (operations.some(({ key }) => !isNoise(key))) commits++;
      for (const operation of operations) {
        const found = known.find(({ prefix }) => operation.key.startsWith(prefix));
        if (found === undefined) continue;
        const key = operation.key.slice(found.prefix.length);
        if (operation.type === "delete") {
          found.objects.delete(key);
          continue;
        }
        const object = JSON.parse(Buffer.from(operation.value).toString()) as KubeObject;
        if (found.prefix === tables.pods.prefix) checkPod(key, tables.pods.objects.get(key), object as Pod);
        found.objects.set(key, object);
      }
    },
  };
}

function isNoise(key: string): boolean {
  return key.includes("/leases/") || key.includes("/events/");
}
