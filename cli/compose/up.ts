// naru compose up and down: the project's objects made, followed until they run, and taken away.
import { namespaces, pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import type { Conversion } from "../../compose/convert.ts";
import { startProgress } from "../progress.ts";
import { pathOf, titleOf } from "../resources.ts";
import { waitForRollout } from "../rollout-wait.ts";
import { green, yellow } from "../terminal.ts";
import { watchObjects } from "../watch.ts";
import {
  applyObject,
  deleteObject,
  objectsOf,
  type ProjectPlace,
  projectResources,
  selectorOf,
  volumeResource,
} from "./objects.ts";

/** Applies every object; what belongs to the project and is not in the file any more is told of, or removed. */
export async function applyProject(place: ProjectPlace, conversion: Conversion, removeOrphans: boolean): Promise<void> {
  for (const object of conversion.objects) {
    const { title, verb } = await applyObject(place, object);
    console.log(`${title} ${verb === "unchanged" ? verb : green(verb)}`);
  }
  const wanted = new Set(conversion.objects.map(({ kind, metadata }) => `${kind}/${metadata?.name}`));
  for (const resource of projectResources) {
    for (const { metadata } of await objectsOf(place, resource)) {
      const name = metadata?.name ?? "";
      if (wanted.has(`${resource.kind}/${name}`) || (metadata?.ownerReferences?.length ?? 0) > 0) continue;
      if (removeOrphans) {
        await deleteObject(place, resource, name);
        console.log(`${titleOf(resource, name)} deleted`);
      } else {
        console.error(
          `${yellow("Notice:")} ${titleOf(resource, name)} is of this project but not in its file: --remove-orphans deletes it`,
        );
      }
    }
  }
}

/** Resolves when Deployments are rolled out and pods that end by themselves run or have ended; throws for one that failed. */
export async function waitForProject(place: ProjectPlace, { objects }: Conversion, timeoutMs: number): Promise<void> {
  const { connection, namespace, signal } = place;
  const named = (kind: string) =>
    objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata?.name ?? "");
  await Promise.all([
    ...named("Deployment").map((name) => waitForRollout(connection, { name, namespace }, { signal, timeoutMs })),
    ...named("Pod").map((name) => waitForPod(place, name, timeoutMs)),
  ]);
}

async function waitForPod(
  { connection, namespace, signal }: ProjectPlace,
  name: string,
  timeoutMs: number,
): Promise<void> {
  const progress = startProgress();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const query = { fieldSelector: `metadata.name=${name}` };
    for await (const { object } of watchObjects<Pod>(connection, pathOf(pods, namespace), query, limit)) {
      const phase = object.status?.phase ?? "Pending";
      if (phase === "Failed") throw new Error(`pod "${name}" failed: \`naru logs -n ${namespace} ${name}\` tells why`);
      if (phase === "Succeeded" || phase === "Running") {
        progress.done(`pod "${name}" ${phase === "Running" ? "runs" : "has completed"}`);
        return;
      }
      progress.update(`Waiting for pod "${name}" to start: it is ${phase.toLowerCase()}...`);
    }
  } catch (error) {
    if (limit.aborted && !signal.aborted) throw new Error(`pod "${name}" did not start in ${timeoutMs / 1000} s`);
    throw error;
  } finally {
    progress.clear();
  }
}

/** Deletes the project's objects; its volumes, and so its namespace, only when told to. */
export async function removeProject(place: ProjectPlace, withVolumes: boolean): Promise<void> {
  const removed = async (resource: Resource, object: KubeObject) => {
    const name = object.metadata?.name ?? "";
    await deleteObject(place, resource, name);
    console.log(`${titleOf(resource, name)} deleted`);
  };
  for (const resource of projectResources)
    await Promise.all((await objectsOf(place, resource)).filter(isOwn).map((object) => removed(resource, object)));
  const volumes = await objectsOf(place, volumeResource);
  if (withVolumes) for (const volume of volumes) await removed(volumeResource, volume);
  else if (volumes.length > 0)
    console.log(`volumes are kept: ${volumes.map(({ metadata }) => metadata?.name).join(", ")}`);
  if (volumes.length > 0 && !withVolumes) return;
  const { items } = await place.connection.send<{ items: readonly KubeObject[] }>(
    "GET",
    `${pathOf(namespaces, undefined)}?${selectorOf(place.project)}`,
  );
  for (const namespace of items) if (namespace.metadata?.name === place.namespace) await removed(namespaces, namespace);
}

function isOwn({ metadata }: KubeObject): boolean {
  return (metadata?.ownerReferences?.length ?? 0) === 0;
}
