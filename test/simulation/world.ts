// What is durable, seen from outside: fed by each commit in the instant in which it happens, so that no component's view is trusted.
import {
  daemonsets,
  deployments,
  endpointslices,
  jobs,
  nodes,
  pods,
  replicasets,
  services,
} from "../../api/kinds/generated/resources.ts";
import type {
  DaemonSet,
  Deployment,
  EndpointSlice,
  Job,
  Node,
  Pod,
  ReplicaSet,
  Service,
} from "../../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { resourcePrefix } from "../../api/store/keys.ts";
import type { Transaction } from "../../api/store/store.ts";

export interface World {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly deployments: ReadonlyMap<string, Deployment>;
  readonly replicaSets: ReadonlyMap<string, ReplicaSet>;
  readonly daemonSets: ReadonlyMap<string, DaemonSet>;
  readonly jobs: ReadonlyMap<string, Job>;
  /** What became of each pod of a Job, by the Job's uid: kept when the pods are gone. */
  readonly ends: ReadonlyMap<string, JobEnds>;
  readonly services: ReadonlyMap<string, Service>;
  readonly endpointSlices: ReadonlyMap<string, EndpointSlice>;
  /** Commits that changed anything but Leases and Events. */
  readonly commits: number;
  /** What may never be seen, in one commit or between two. */
  readonly violations: readonly string[];
  take(transaction: Transaction): void;
}

export interface JobEnds {
  /** uids of all pods that have succeeded. */
  readonly succeeded: ReadonlySet<string>;
  /** Those among them that nobody had let go of before, which therefore have to be counted. */
  readonly due: ReadonlySet<string>;
  /** uids of all that have failed or were deleted before their end. */
  readonly failed: ReadonlySet<string>;
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
    daemonSets: table(daemonsets),
    jobs: table(jobs),
    services: table(services),
    endpointSlices: table(endpointslices),
  };
  const known = Object.values(tables) as readonly { prefix: string; objects: Map<string, KubeObject> }[];

  const checkPod = (key: string, before: Pod | undefined, after: Pod) => {
    if (before === undefined || before.metadata?.uid !== after.metadata?.uid) return;
    const [was, is] = [before.spec?.nodeName ?? "", after.spec?.nodeName ?? ""];
    if (was !== "" && was !== is) violations.push(`pod ${key} moved from ${was} to ${is}`);
  };

  const ends = new Map<string, { succeeded: Set<string>; due: Set<string>; failed: Set<string> }>();
  const noteEnd = ({ metadata, status }: Pod) => {
    const owner = metadata?.ownerReferences?.[0];
    if (owner?.kind !== "Job") return;
    const known = ends.get(owner.uid) ?? { succeeded: new Set(), due: new Set(), failed: new Set() };
    ends.set(owner.uid, known);
    const { uid = "", deletionTimestamp, finalizers = [] } = metadata ?? {};
    const isHeld = finalizers.includes("batch.kubernetes.io/job-tracking");
    if (status?.phase === "Succeeded") {
      if (!known.succeeded.has(uid) && isHeld && deletionTimestamp === undefined) known.due.add(uid);
      known.succeeded.add(uid);
    } else if (status?.phase === "Failed" || deletionTimestamp !== undefined) known.failed.add(uid);
  };

  return {
    pods: tables.pods.objects,
    nodes: tables.nodes.objects,
    deployments: tables.deployments.objects,
    replicaSets: tables.replicaSets.objects,
    daemonSets: tables.daemonSets.objects,
    jobs: tables.jobs.objects,
    ends,
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
        if (found.prefix === tables.pods.prefix) {
          checkPod(key, tables.pods.objects.get(key), object as Pod);
          noteEnd(object as Pod);
        }
        found.objects.set(key, object);
      }
    },
  };
}

function isNoise(key: string): boolean {
  return key.includes("/leases/") || key.includes("/events/");
}
