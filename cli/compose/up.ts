// naru compose up and down: the project's objects made, followed until they run, and taken away.
import { daemonsets, jobs, namespaces, pods } from "../../api/kinds/generated/resources.ts";
import type { Job, Pod } from "../../api/kinds/generated/types.ts";
import { finishedAs } from "../../api/kinds/job.ts";
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import type { Conversion } from "../../compose/convert.ts";
import { UsageError } from "../command.ts";
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
  servicesNamed,
  volumeResource,
  workloadResourceOf,
  workloadsOf,
} from "./objects.ts";

/** Applies every object; what belongs to the project and is not in the file any more is told of, or removed. */
export async function applyProject(
  place: ProjectPlace,
  conversion: Pick<Conversion, "objects">,
  { services, removeOrphans }: { readonly services: ReadonlySet<string>; readonly removeOrphans: boolean },
): Promise<void> {
  for (const object of startedBy(conversion.objects, services)) {
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

/** Without what runs other services. */
export function startedBy(objects: readonly KubeObject[], services: ReadonlySet<string>): readonly KubeObject[] {
  const started = new Set(workloadsOf(objects, services));
  return objects.filter((object) => workloadResourceOf(object) === undefined || started.has(object));
}

/** Resolves when Deployments and DaemonSets are rolled out, and what ends by itself runs or has ended; throws for one that failed. */
export async function waitForProject(
  place: ProjectPlace,
  { objects }: Pick<Conversion, "objects">,
  timeoutMs: number,
): Promise<void> {
  const { connection, namespace, signal } = place;
  const named = (kind: string) =>
    objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata?.name ?? "");
  await Promise.all([
    ...named("Deployment").map((name) => waitForRollout(connection, { name, namespace }, { signal, timeoutMs })),
    ...named("DaemonSet").map((name) =>
      waitForRollout(connection, { name, namespace, resource: daemonsets }, { signal, timeoutMs }),
    ),
    ...named("Pod").map((name) => waitForStart(place, { resource: pods, name, timeoutMs, stateOf: podState })),
    ...named("Job").map((name) => waitForStart(place, { resource: jobs, name, timeoutMs, stateOf: jobState })),
  ]);
}

/** Resolves when the services' one-off work has ended: with 0 when all went well. */
export async function waitForEnds(
  place: ProjectPlace,
  { objects }: Conversion,
  names: readonly string[],
): Promise<number> {
  const ends = workloadsOf(objects, servicesNamed(objects, names)).filter(
    ({ kind }) => kind === "Pod" || kind === "Job",
  );
  if (ends.length === 0) throw new UsageError("none of these services ends by itself (restart: no or on-failure)");
  const states = await Promise.all(
    ends.map(async (object): Promise<Begun> => {
      const resource: Resource = object.kind === "Pod" ? pods : jobs;
      const query = { fieldSelector: `metadata.name=${object.metadata?.name}` };
      const path = pathOf(resource, place.namespace);
      for await (const event of watchObjects<KubeObject>(place.connection, path, query, place.signal)) {
        const state = object.kind === "Pod" ? podState(event.object) : jobState(event.object);
        if (state === "has completed" || state === "failed") {
          console.log(`${titleOf(resource, object.metadata?.name ?? "")} ${state}`);
          return state;
        }
      }
      throw new Error(`${titleOf(resource, object.metadata?.name ?? "")} does not run: compose up starts it`);
    }),
  );
  return states.includes("failed") ? 1 : 0;
}

/** What has become of something that ends by itself. */
type Begun = "waits" | "runs" | "has completed" | "failed";

interface Awaited<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly name: string;
  readonly timeoutMs: number;
  readonly stateOf: (object: T) => Begun;
}

async function waitForStart<T extends KubeObject>(
  { connection, namespace, signal }: ProjectPlace,
  { resource, name, timeoutMs, stateOf }: Awaited<T>,
): Promise<void> {
  const progress = startProgress();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const title = `${resource.singular} "${name}"`;
  const word = resource.kind === "Pod" ? name : `${resource.singular}/${name}`;
  try {
    const query = { fieldSelector: `metadata.name=${name}` };
    for await (const { object } of watchObjects<T>(connection, pathOf(resource, namespace), query, limit)) {
      const state = stateOf(object);
      if (state === "failed") throw new Error(`${title} failed: \`naru logs -n ${namespace} ${word}\` tells why`);
      if (state !== "waits") {
        progress.done(`${title} ${state}`);
        return;
      }
      progress.update(`Waiting for ${title} to start...`);
    }
  } catch (error) {
    if (limit.aborted && !signal.aborted) throw new Error(`${title} did not start in ${timeoutMs / 1000} s`);
    throw error;
  } finally {
    progress.clear();
  }
}

function podState({ status }: Pod): Begun {
  switch (status?.phase) {
    case "Failed":
      return "failed";
    case "Succeeded":
      return "has completed";
    case "Running":
      return "runs";
    default:
      return "waits";
  }
}

function jobState(job: Job): Begun {
  const finished = finishedAs(job);
  if (finished !== undefined) return finished === "Complete" ? "has completed" : "failed";
  return (job.status?.ready ?? 0) > 0 ? "runs" : "waits";
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
