// naru compose restart, stop, start, and --scale: how many of a service run.
import { deployments, pods } from "../../api/kinds/generated/resources.ts";
import type { Deployment, Job, Pod } from "../../api/kinds/generated/types.ts";
import { finishedAs } from "../../api/kinds/job.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { isReason } from "../../api/kinds/status.ts";
import { serviceLabel } from "../../compose/labels.ts";
import { UsageError } from "../command.ts";
import { pathOf, titleOf } from "../resources.ts";
import {
  applyObject,
  deleteObject,
  objectsOf,
  type ProjectPlace,
  servicesNamed,
  workloadResourceOf,
} from "./objects.ts";

/** The objects with other numbers of replicas: "web=3". Throws UsageError. Pure. */
export function scaled(objects: readonly KubeObject[], scales: readonly string[]): readonly KubeObject[] {
  const wanted = new Map(
    scales.map((text) => {
      const [, service = "", count = ""] = /^([^=]+)=(\d{1,6})$/.exec(text) ?? [];
      if (service === "") throw new UsageError(`--scale takes SERVICE=N, got ${JSON.stringify(text)}`);
      const [name = ""] = servicesNamed(objects, [service]);
      const kinds = objects.filter((object) => isOf(object, name)).map(({ kind }) => kind);
      if (kinds.includes("Pod") && Number(count) !== 1)
        throw new UsageError(
          `--scale ${text}: ${service} ends by itself, there is one of it: say so many in deploy.replicas`,
        );
      if (kinds.includes("DaemonSet"))
        throw new UsageError(`--scale ${text}: ${service} runs on each node (deploy.mode global)`);
      return [name, Number(count)] as const;
    }),
  );
  return objects.map((object) => {
    const replicas = wanted.get(object.metadata?.labels?.[serviceLabel] ?? "");
    if (replicas === undefined) return object;
    if (object.kind === "Deployment")
      return { ...object, spec: { ...(object as Deployment).spec, replicas } } as KubeObject;
    if (object.kind !== "Job") return object;
    return { ...object, spec: { ...(object as Job).spec, completions: replicas, parallelism: replicas } } as KubeObject;
  });
}

/** What runs the services of "web=3", with other numbers. Pure. */
export function scaledOnes(objects: readonly KubeObject[], scales: readonly string[]): readonly KubeObject[] {
  if (scales.length === 0) throw new UsageError("scale takes SERVICE=N");
  const all = new Set(objects);
  return scaled(objects, scales).filter((object) => !all.has(object));
}

/** What has ended by itself. */
export async function removeEnded(place: ProjectPlace, workloads: readonly KubeObject[]): Promise<void> {
  for (const object of workloads.filter(endsByItself)) {
    const [resource, name] = named(object);
    const [found] = (await objectsOf(place, resource)).filter(({ metadata }) => metadata?.name === name);
    if (found === undefined || !hasEnded(found)) continue;
    await deleteObject(place, resource, name);
    console.log(`${titleOf(resource, name)} deleted`);
  }
}

function hasEnded(object: KubeObject): boolean {
  if (object.kind === "Job") return finishedAs(object as Job) !== undefined;
  return ["Succeeded", "Failed"].includes((object as Pod).status?.phase ?? "");
}

/** New pods in place of those that run, as an update makes them; what ends begins anew. */
export async function restart(place: ProjectPlace, workloads: readonly KubeObject[], nowMs: number): Promise<void> {
  const annotations = { "kubectl.kubernetes.io/restartedAt": new Date(nowMs).toISOString() };
  for (const object of workloads) {
    const [resource, name] = named(object);
    if (endsByItself(object)) {
      await deleteObject(place, resource, name);
      await applyObject(place, object);
    } else await patch(place, object, { spec: { template: { metadata: { annotations } } } });
    console.log(`${titleOf(resource, name)} restarted`);
  }
}

/** None runs; a Deployment stays as what it is, the others are made anew by start. */
export async function stop(place: ProjectPlace, workloads: readonly KubeObject[]): Promise<void> {
  for (const object of workloads) {
    const [resource, name] = named(object);
    if (object.kind === "Deployment") await patch(place, object, { spec: { replicas: 0 } });
    else await deleteObject(place, resource, name);
    console.log(`${titleOf(resource, name)} stopped`);
  }
}

/** Ends a pod at once. */
export async function killPod({ connection, namespace, signal }: ProjectPlace, name: string): Promise<void> {
  const body = { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: 0 };
  try {
    await connection.send("DELETE", pathOf(pods, namespace, name), { body, signal });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

/** As many run as the file says. */
export async function start(place: ProjectPlace, workloads: readonly KubeObject[]): Promise<void> {
  for (const object of workloads) {
    const [resource, name] = named(object);
    if (object.kind === "Deployment")
      await patch(place, object, { spec: { replicas: (object as Deployment).spec?.replicas ?? 1 } });
    else await applyObject(place, object);
    console.log(`${titleOf(resource, name)} started`);
  }
}

function named(object: KubeObject): readonly [Resource, string] {
  return [workloadResourceOf(object) ?? deployments, object.metadata?.name ?? ""];
}

function endsByItself({ kind }: KubeObject): boolean {
  return kind === "Pod" || kind === "Job";
}

async function patch({ connection, namespace, signal }: ProjectPlace, object: KubeObject, body: object): Promise<void> {
  const [resource, name] = named(object);
  const type = "application/strategic-merge-patch+json";
  await connection.send("PATCH", pathOf(resource, namespace, name), { body, type, signal });
}

function isOf({ metadata }: KubeObject, service: string): boolean {
  return metadata?.labels?.[serviceLabel] === service;
}
