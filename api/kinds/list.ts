// The kinds that the API stores, one line each.
import { configmapKind } from "./configmap.ts";
import { controllerRevisionKind } from "./controllerrevision.ts";
import { cronjobKind } from "./cronjob.ts";
import { daemonsetKind } from "./daemonset.ts";
import { deploymentKind } from "./deployment.ts";
import { endpointsliceKind } from "./endpointslice.ts";
import { eventKind } from "./event.ts";
import { jobKind } from "./job.ts";
import type { Kind } from "./kind.ts";
import { leaseKind } from "./lease.ts";
import { namespaceKind } from "./namespace.ts";
import { nodeKind } from "./node.ts";
import { persistentVolumeKind } from "./persistent-volume.ts";
import { persistentVolumeClaimKind } from "./persistent-volume-claim.ts";
import { podKind } from "./pod.ts";
import { priorityClassKind } from "./priority-class.ts";
import { replicasetKind } from "./replicaset.ts";
import type { KubeObject, Resource } from "./resource.ts";
import { runtimeClassKind } from "./runtime-class.ts";
import { secretKind } from "./secret.ts";
import { serviceKind } from "./service.ts";
import { serviceaccountKind } from "./serviceaccount.ts";
import { storageClassKind } from "./storage-class.ts";

export const kinds: readonly Kind[] = [
  erase(namespaceKind),
  erase(nodeKind),
  erase(podKind),
  erase(serviceKind),
  erase(configmapKind),
  erase(secretKind),
  erase(eventKind),
  erase(serviceaccountKind),
  erase(persistentVolumeKind),
  erase(persistentVolumeClaimKind),
  erase(deploymentKind),
  erase(replicasetKind),
  erase(daemonsetKind),
  erase(controllerRevisionKind),
  erase(jobKind),
  erase(cronjobKind),
  erase(endpointsliceKind),
  erase(leaseKind),
  erase(storageClassKind),
  erase(runtimeClassKind),
  erase(priorityClassKind),
];

const byResource = new Map(kinds.map((kind) => [`${kind.resource.group}/${kind.resource.resource}`, kind]));

/** The kind of a resource handle; undefined for resources that are not stored. */
export function kindOf<T extends KubeObject>(resource: Resource<T>): Kind<T> | undefined {
  return byResource.get(`${resource.group}/${resource.resource}`) as Kind<T> | undefined;
}

/** By plural, singular, short name or kind; an undefined group or version takes the first that fits. */
export function findKind(group: string | undefined, version: string | undefined, name: string): Kind | undefined {
  const wanted = name.toLowerCase();
  return kinds.find(({ resource: r }) => {
    if (group !== undefined && group !== r.group) return false;
    if (version !== undefined && version !== r.version) return false;
    return (
      r.resource === wanted || r.singular === wanted || r.kind.toLowerCase() === wanted || r.shortNames.includes(wanted)
    );
  });
}

/** A kind over its own object type serves as one over any: the verbs only hand it objects of its own resource. */
function erase<T extends KubeObject>(kind: Kind<T>): Kind {
  return kind as unknown as Kind;
}
