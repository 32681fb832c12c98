// naru compose restart, stop, start, and --scale: how many of a service run.
import { deployments, pods } from "../../api/kinds/generated/resources.ts";
import type { Deployment } from "../../api/kinds/generated/types.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { serviceLabel } from "../../compose/labels.ts";
import { UsageError } from "../command.ts";
import { pathOf, titleOf } from "../resources.ts";
import { applyObject, deleteObject, type ProjectPlace, servicesNamed } from "./objects.ts";

/** The objects with other numbers of replicas: "web=3". Throws UsageError. Pure. */
export function scaled(objects: readonly KubeObject[], scales: readonly string[]): readonly KubeObject[] {
  const wanted = new Map(
    scales.map((text) => {
      const [, service = "", count = ""] = /^([^=]+)=(\d{1,6})$/.exec(text) ?? [];
      if (service === "") throw new UsageError(`--scale takes SERVICE=N, got ${JSON.stringify(text)}`);
      const [name = ""] = servicesNamed(objects, [service]);
      const workload = objects.find((object) => isOf(object, name) && object.kind === "Pod");
      if (workload !== undefined && Number(count) !== 1)
        throw new UsageError(`--scale ${text}: ${service} ends by itself, there is one of it`);
      return [name, Number(count)] as const;
    }),
  );
  return objects.map((object) => {
    const replicas = wanted.get(object.metadata?.labels?.[serviceLabel] ?? "");
    if (object.kind !== "Deployment" || replicas === undefined) return object;
    return { ...object, spec: { ...(object as Deployment).spec, replicas } } as KubeObject;
  });
}

/** New pods in place of those that run, as an update makes them. */
export async function restart(place: ProjectPlace, workloads: readonly KubeObject[], nowMs: number): Promise<void> {
  const annotations = { "kubectl.kubernetes.io/restartedAt": new Date(nowMs).toISOString() };
  for (const object of workloads) {
    const name = object.metadata?.name ?? "";
    if (object.kind === "Pod") {
      await deleteObject(place, pods, name);
      await applyObject(place, object);
    } else await patch(place, name, { spec: { template: { metadata: { annotations } } } });
    console.log(`${titleOf(object.kind === "Pod" ? pods : deployments, name)} restarted`);
  }
}

/** None runs; what they are stays. */
export async function stop(place: ProjectPlace, workloads: readonly KubeObject[]): Promise<void> {
  for (const { kind, metadata } of workloads) {
    const name = metadata?.name ?? "";
    if (kind === "Pod") await deleteObject(place, pods, name);
    else await patch(place, name, { spec: { replicas: 0 } });
    console.log(`${titleOf(kind === "Pod" ? pods : deployments, name)} stopped`);
  }
}

/** As many run as the file says. */
export async function start(place: ProjectPlace, workloads: readonly KubeObject[]): Promise<void> {
  for (const object of workloads) {
    const name = object.metadata?.name ?? "";
    if (object.kind === "Pod") await applyObject(place, object);
    else await patch(place, name, { spec: { replicas: (object as Deployment).spec?.replicas ?? 1 } });
    console.log(`${titleOf(object.kind === "Pod" ? pods : deployments, name)} started`);
  }
}

async function patch({ connection, namespace, signal }: ProjectPlace, name: string, body: object): Promise<void> {
  const type = "application/strategic-merge-patch+json";
  await connection.send("PATCH", pathOf(deployments, namespace, name), { body, type, signal });
}

function isOf({ metadata }: KubeObject, service: string): boolean {
  return metadata?.labels?.[serviceLabel] === service;
}
