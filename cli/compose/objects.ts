// The objects of a Compose project in the cluster: found by their labels, applied, deleted.
import {
  configmaps,
  deployments,
  persistentvolumeclaims,
  pods,
  secrets,
  services,
} from "../../api/kinds/generated/resources.ts";
import type { Deployment, Pod } from "../../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
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
export const projectResources: readonly Resource[] = [deployments, pods, services, configmaps, secrets];
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

/** Applies one object. A pod whose specification changed is made anew: it cannot change. */
export async function applyObject(place: ProjectPlace, object: KubeObject): Promise<Applied> {
  const query = { fieldManager: "naru-compose", force: "true", fieldValidation: "Strict" };
  const apply = () => applyManifest(place.connection, { object, place: place.project }, { ...place, query });
  try {
    return await apply();
  } catch (error) {
    if (object.kind !== "Pod" || !isReason(error, "Invalid")) throw error;
    await deleteObject(place, pods, object.metadata?.name ?? "");
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

/** Deployments and pods of these services, as the file says they should be. */
export function workloadsOf(objects: readonly KubeObject[], services: ReadonlySet<string>): readonly KubeObject[] {
  return objects.filter(
    ({ kind, metadata }) =>
      (kind === "Deployment" || kind === "Pod") && services.has(metadata?.labels?.[serviceLabel] ?? ""),
  );
}

/** Of a Deployment's or pod's containers. */
export function imagesOf(object: KubeObject): readonly string[] {
  const spec = object.kind === "Pod" ? (object as Pod).spec : (object as Deployment).spec?.template?.spec;
  return (spec?.containers ?? []).flatMap(({ image }) => image ?? []);
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
