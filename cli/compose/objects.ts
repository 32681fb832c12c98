// The objects of a Compose project in the cluster: found by their labels, applied, deleted.
import {
  configmaps,
  daemonsets,
  deployments,
  jobs,
  persistentvolumeclaims,
  pods,
  secrets,
  services,
} from "../../api/kinds/generated/resources.ts";
import type { Deployment, Pod, PodSpec, PodTemplateSpec } from "../../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { startAfterAnnotation } from "../../api/kinds/start-order.ts";
import { isReason } from "../../api/kinds/status.ts";
import { objectName } from "../../compose/draft.ts";
import { projectLabels, serviceLabel } from "../../compose/labels.ts";
import { type Applied, applyManifest } from "../apply.ts";
import { UsageError } from "../command.ts";
import type { Connection } from "../connection.ts";
import { pathOf } from "../resources.ts";
import { watchObjects } from "../watch.ts";

export interface ProjectPlace {
  readonly connection: Connection;
  readonly project: string;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** What a project consists of but for its volumes, in the order to delete it. */
export const projectResources: readonly Resource[] = [
  ...[deployments, daemonsets, jobs, pods],
  ...[services, configmaps, secrets],
];
export const volumeResource: Resource = persistentvolumeclaims;

/** Objects of a kind that belong to the project; `service` names one of its services. */
export async function objectsOf<T extends KubeObject>(
  place: ProjectPlace,
  resource: Resource,
  service?: string,
): Promise<readonly T[]> {
  const path = `${pathOf(resource, place.namespace)}?${selectorOf(place.project, service)}`;
  const { items } = await place.connection.send<{ items: readonly T[] }>("GET", path, { signal: place.signal });
  return items;
}

export function selectorOf(project: string, service?: string): URLSearchParams {
  const labels = { ...projectLabels(project), ...(service === undefined ? {} : { "app.kubernetes.io/name": service }) };
  const labelSelector = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return new URLSearchParams({ labelSelector: labelSelector.join(",") });
}

/** What runs services. */
const workloadResources: readonly Resource[] = [deployments, daemonsets, jobs, pods];

/** Of an object that runs a service; undefined for the others. */
export function workloadResourceOf({ kind }: KubeObject): Resource | undefined {
  return workloadResources.find((resource) => resource.kind === kind);
}

/** Applies one object. A pod or a Job whose specification changed is made anew: it cannot change. */
export async function applyObject(place: ProjectPlace, object: KubeObject): Promise<Applied> {
  const query = { fieldManager: "naru-compose", force: "true", fieldValidation: "Strict" };
  const apply = () => applyManifest(place.connection, { object, place: place.project }, { ...place, query });
  try {
    return await apply();
  } catch (error) {
    const resource = workloadResourceOf(object);
    if ((resource !== pods && resource !== jobs) || !isReason(error, "Invalid")) throw error;
    await deleteObject(place, resource, object.metadata?.name ?? "");
    return await apply();
  }
}

/** Those that the command names, or all; throws for a name that the file does not have. */
export function servicesNamed(objects: readonly KubeObject[], names: readonly string[]): ReadonlySet<string> {
  const all = new Set(objects.flatMap(({ metadata }) => metadata?.labels?.[serviceLabel] ?? []));
  const wanted = names.map(objectName);
  const unknown = wanted.find((name) => !all.has(name));
  if (unknown === undefined) return wanted.length === 0 ? all : new Set(wanted);
  throw new UsageError(`the file has no service ${unknown}: it has ${[...all].join(", ")}`);
}

/** What runs these services, as the file says it should be. */
export function workloadsOf(objects: readonly KubeObject[], services: ReadonlySet<string>): readonly KubeObject[] {
  return objects.filter(
    (object) => workloadResourceOf(object) !== undefined && services.has(object.metadata?.labels?.[serviceLabel] ?? ""),
  );
}

/** Of its containers. */
export function imagesOf(object: KubeObject): readonly string[] {
  return (podTemplateOf(object).spec?.containers ?? []).flatMap(({ image }) => image ?? []);
}

/** What its pods are made from; a pod is its own. */
export function podTemplateOf(object: KubeObject): PodTemplateSpec {
  // All workloads have their template in the same place.
  return object.kind === "Pod" ? (object as Pod) : ((object as Deployment).spec?.template ?? {});
}

/** The object with another pod spec; what runs no pods stays. */
export function withPodSpec(object: KubeObject, change: (spec: PodSpec) => PodSpec): KubeObject {
  const podSpec = podTemplateOf(object).spec;
  if (workloadResourceOf(object) === undefined || podSpec === undefined) return object;
  if (object.kind === "Pod") return { ...object, spec: change(podSpec) } as KubeObject;
  const { spec } = object as Deployment;
  return { ...object, spec: { ...spec, template: { ...spec?.template, spec: change(podSpec) } } } as KubeObject;
}

/** Resolves when it is gone. */
export async function deleteObject(place: ProjectPlace, resource: Resource, name: string): Promise<void> {
  const { connection, signal } = place;
  const namespace = resource.namespaced ? place.namespace : undefined;
  try {
    const body = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Foreground" };
    await connection.send("DELETE", pathOf(resource, namespace, name), { body, signal });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    return;
  }
  for await (const { type } of watchObjects<KubeObject>(
    connection,
    pathOf(resource, namespace),
    { fieldSelector: `metadata.name=${name}` },
    signal,
  )) {
    if (type === "DELETED") return;
  }
}

/** Services that have to be there before this one, and those that they need. */
export function neededBy(objects: readonly KubeObject[], service: string): ReadonlySet<string> {
  const needed = new Set<string>();
  const visit = (name: string) => {
    for (const workload of workloadsOf(objects, new Set([name]))) {
      const text = podTemplateOf(workload).metadata?.annotations?.[startAfterAnnotation] ?? "[]";
      for (const { matchLabels } of JSON.parse(text) as readonly { matchLabels: Readonly<Record<string, string>> }[]) {
        const other = matchLabels[serviceLabel] ?? "";
        if (needed.has(other)) continue;
        needed.add(other);
        visit(other);
      }
    }
  };
  visit(service);
  return needed;
}

/** The services that are named with those that they need, or all of them. */
export function servicesToStart(objects: readonly KubeObject[], names: readonly string[]): ReadonlySet<string> {
  const wanted = servicesNamed(objects, names);
  return new Set([...wanted].flatMap((name) => [name, ...neededBy(objects, name)]));
}
