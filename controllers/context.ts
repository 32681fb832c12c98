// What controllers share: one informer per kind, the client, Events, time and chance.

import {
  controllerrevisions,
  cronjobs,
  daemonsets,
  deployments,
  endpointslices,
  jobs,
  namespaces,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  replicasets,
  serviceaccounts,
  services,
  storageclasses,
} from "../api/kinds/generated/resources.ts";
import type {
  ControllerRevision,
  CronJob,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Job,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReplicaSet,
  Service,
  ServiceAccount,
  StorageClass,
} from "../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";
import type { Client } from "../client/client.ts";
import { type Informer, startInformer } from "../client/informer.ts";
import { type ReconcileLoop, type ReconcileLoopOptions, startReconcileLoop } from "../client/reconcile-loop.ts";
import type { Recorder } from "../client/recorder.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";

export interface ControllerOptions {
  readonly client: Client;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** From a node's NotReady to the deletion of its pods. */
  readonly evictAfterMs: number;
  /** Nodes that were lost before the controllers began have so long to dial in: who was gone may have been the server. */
  readonly startGraceMs: number;
  /** Pods' addresses; every node gets a /24 of it. */
  readonly clusterCidr: string;
  /** Signs the API's certificate. */
  readonly authorityPem: string;
  readonly onPass?: (controller: string, pass: { readonly durationMs: number; readonly failed: boolean }) => void;
}

export interface Informers {
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly namespaces: Informer<Namespace>;
  readonly services: Informer<Service>;
  readonly serviceAccounts: Informer<ServiceAccount>;
  readonly endpointSlices: Informer<EndpointSlice>;
  readonly deployments: Informer<Deployment>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly daemonSets: Informer<DaemonSet>;
  readonly controllerRevisions: Informer<ControllerRevision>;
  readonly jobs: Informer<Job>;
  readonly cronJobs: Informer<CronJob>;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly storageClasses: Informer<StorageClass>;
}

export interface ControllerContext extends ControllerOptions {
  readonly informers: Informers;
  /** Starts a loop with the controllers' clock, chance and log. */
  readonly loop: (options: Pick<ReconcileLoopOptions, "name" | "reconcile" | "concurrency">) => ReconcileLoop;
}

/** A controller begins its work and gives back what ends it. */
export type StartController = (context: ControllerContext) => AsyncDisposable;

/** Index of objects by the uids of their owners. */
export const byOwner = "owner";
export const byNode = "node";
/** Index of pods by namespace, of EndpointSlices by "namespace/service". */
export const byNamespace = "namespace";
export const byService = "service";
export const serviceNameLabel = "kubernetes.io/service-name";

export function startInformers(options: ControllerOptions): Informers {
  const owner = (object: KubeObject) => (object.metadata?.ownerReferences ?? []).map(({ uid }) => uid);
  const namespace = (object: KubeObject) => [object.metadata?.namespace ?? ""];
  const start = <T extends KubeObject>(
    resource: Resource<T>,
    indexes: Record<string, (object: T) => readonly string[]> = {},
  ) => startInformer({ ...options, resource, indexes: { [byOwner]: owner, [byNamespace]: namespace, ...indexes } });
  return {
    pods: start(pods, { [byNode]: (pod) => (pod.spec?.nodeName === undefined ? [] : [pod.spec.nodeName]) }),
    nodes: start(nodes),
    namespaces: start(namespaces),
    services: start(services),
    serviceAccounts: start(serviceaccounts),
    endpointSlices: start(endpointslices, {
      [byService]: ({ metadata }) => [`${metadata?.namespace}/${metadata?.labels?.[serviceNameLabel] ?? ""}`],
    }),
    deployments: start(deployments),
    replicaSets: start(replicasets),
    daemonSets: start(daemonsets),
    controllerRevisions: start(controllerrevisions),
    jobs: start(jobs),
    cronJobs: start(cronjobs),
    claims: start(persistentvolumeclaims),
    volumes: start(persistentvolumes),
    storageClasses: start(storageclasses),
  };
}

/** Keys of the controllers of this kind that an object has or had. */
export function ownerKeys(kind: string, ...objects: readonly (KubeObject | undefined)[]): ReadonlySet<string> {
  return new Set(
    objects.flatMap((object) =>
      (object?.metadata?.ownerReferences ?? [])
        .filter((owner) => owner.kind === kind && owner.controller === true)
        .map(({ name }) => `${object?.metadata?.namespace}/${name}`),
    ),
  );
}

export function createContext(options: ControllerOptions, informers: Informers): ControllerContext {
  const { onPass, clock, random, log } = options;
  return {
    ...options,
    informers,
    loop: (loop) =>
      startReconcileLoop({
        ...loop,
        clock,
        random,
        log: log.child({ controller: loop.name }),
        ...(onPass === undefined ? {} : { onPass: (pass) => onPass(loop.name, pass) }),
      }),
  };
}
