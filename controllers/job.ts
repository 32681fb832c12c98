// Runs a Job's pods until enough have succeeded or too many have failed.
import { jobs, pods } from "../api/kinds/generated/resources.ts";
import type { Job, Pod } from "../api/kinds/generated/types.ts";
import { jobTrackingFinalizer } from "../api/kinds/job.ts";
import { controllerOf, isControlledBy } from "../api/kinds/owners.ts";
import { keyOf } from "../api/kinds/resource.ts";
import { equal } from "../api/kinds/schema/patch-json.ts";
import { isReason } from "../api/kinds/status.ts";
import { byOwner, type ControllerContext, ownerKeys, type StartController } from "./context.ts";
import { isTracked, type JobSlot, jobPod } from "./job-pods.ts";
import { type JobPlan, planJob } from "./plan-job.ts";
import { slowStart } from "./slow-start.ts";

const ownController = "kubernetes.io/job-controller";

export const startJobController: StartController = (context) => {
  const { client, informers, recorder, clock } = context;
  /** The version that we have written, by key: an older one from the cache is not looked at. */
  const written = new Map<string, { readonly uid: string; readonly version: number }>();

  const reconcile = async (key: string) => {
    const job = informers.jobs.get(key);
    if (job === undefined || job.metadata?.deletionTimestamp !== undefined) {
      written.delete(key);
      return undefined;
    }
    const { uid = "", namespace = "", resourceVersion = "" } = job.metadata ?? {};
    if ((job.spec?.managedBy ?? ownController) !== ownController) return undefined;
    const last = written.get(key);
    // Its event is on its way.
    if (last?.uid === uid && Number(resourceVersion) < last.version) return undefined;
    const plan = planJob({
      job,
      pods: informers.pods.byIndex(byOwner, uid).filter((pod) => isControlledBy(pod, job)),
      nowMs: clock.now(),
      isTaken: (name) => informers.pods.get(`${namespace}/${name}`) !== undefined,
    });
    if (!equal(job.status ?? {}, plan.status)) {
      // Refused when the Job has changed meanwhile: then what was decided may be wrong.
      const stored = await client.updateStatus(jobs, { ...job, status: plan.status });
      written.set(key, { uid, version: Number(stored.metadata?.resourceVersion) });
    }
    for (const { type, reason, message } of plan.events) record(job, type, reason, message);
    await apply(job, plan);
    return plan.nextMs === undefined ? undefined : { afterMs: plan.nextMs };
  };

  const apply = async (job: Job, { release: counted, end, remove, create, expired }: JobPlan): Promise<void> => {
    if (expired) {
      const { namespace = "", name = "", uid = "", resourceVersion = "" } = job.metadata ?? {};
      const options = { propagationPolicy: "Background", preconditions: { uid, resourceVersion } };
      await client.delete(jobs, { namespace, name }, options).catch(ignoreGone);
      return;
    }
    const left = create.values();
    const making = slowStart(create.length, async () => {
      const { value: slot } = left.next();
      if (slot !== undefined) await createPod(job, slot);
    });
    const outcomes = await Promise.allSettled([
      ...counted.map((pod) => release(client, pod)),
      ...end.map((pod) => deletePod(job, pod)),
      ...remove.map(async (pod) => {
        await release(client, pod);
        await deletePod(job, pod);
      }),
    ]);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    const cause = (await making).failure ?? failed?.reason;
    if (cause !== undefined) throw new Error(`changing pods of Job ${keyOf(job)}`, { cause });
  };

  const createPod = async (job: Job, slot: JobSlot): Promise<void> => {
    try {
      await client.create(pods, jobPod(job, slot));
    } catch (error) {
      // An earlier pass has made it, and the cache does not show it yet.
      if (isReason(error, "AlreadyExists")) return;
      const why = error instanceof Error ? error.message : String(error);
      record(job, "Warning", "FailedCreate", `Error creating: ${why}`);
      throw error;
    }
    record(job, "Normal", "SuccessfulCreate", `Created pod: ${slot.name}`);
  };

  const deletePod = async (job: Job, pod: Pod): Promise<void> => {
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    await client.delete(pods, { namespace, name }, { preconditions: { uid } }).catch(ignoreGone);
    record(job, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
  };

  const record = (job: Job, type: "Normal" | "Warning", reason: string, message: string) =>
    recorder.record({ resource: jobs, object: job }, type, reason, message);

  const loop = context.loop({ name: "job", reconcile, concurrency: 8 });
  informers.jobs.onChange((key) => loop.add(key));
  informers.pods.onChange((_, pod, previous) => {
    for (const key of ownerKeys("Job", pod, previous)) loop.add(key);
  });
  const orphans = startReleaseOfOrphans(context);
  return {
    [Symbol.asyncDispose]: async () => {
      await loop[Symbol.asyncDispose]();
      await orphans[Symbol.asyncDispose]();
    },
  };
};

// Pods whose Job is gone, or goes, are counted by nobody: their finalizer would hold them for ever.
function startReleaseOfOrphans({ client, informers, loop: start }: ControllerContext): AsyncDisposable {
  const ownerGoes = async (pod: Pod): Promise<boolean> => {
    const owner = controllerOf(pod);
    if (owner?.kind !== "Job") return true;
    const name = { namespace: pod.metadata?.namespace ?? "", name: owner.name };
    const isGoing = (job: Job | undefined) =>
      job?.metadata?.uid !== owner.uid || job.metadata.deletionTimestamp !== undefined;
    if (!isGoing(informers.jobs.get(`${name.namespace}/${name.name}`))) return false;
    // The cache may be behind: only the API's own word counts.
    return await client.get(jobs, name).then(isGoing, (error: unknown) => {
      if (isReason(error, "NotFound")) return true;
      throw error;
    });
  };
  const loop = start({
    name: "job-orphans",
    reconcile: async (key) => {
      const pod = informers.pods.get(key);
      if (pod !== undefined && isTracked(pod) && (await ownerGoes(pod))) await release(client, pod);
      return undefined;
    },
    concurrency: 8,
  });
  const isLost = (pod: Pod) => {
    const owner = controllerOf(pod);
    const job = informers.jobs.get(`${pod.metadata?.namespace}/${owner?.name}`);
    return owner?.kind !== "Job" || job?.metadata?.uid !== owner.uid || job.metadata.deletionTimestamp !== undefined;
  };
  informers.pods.onChange((key, pod) => {
    if (pod !== undefined && isTracked(pod) && isLost(pod)) loop.add(key);
  });
  informers.jobs.onChange((_, job, previous) => {
    if (job !== undefined && job.metadata?.deletionTimestamp === undefined) return;
    const uid = (job ?? previous)?.metadata?.uid ?? "";
    for (const pod of informers.pods.byIndex(byOwner, uid)) if (isTracked(pod)) loop.add(keyOf(pod));
  });
  return loop;
}

async function release(client: ControllerContext["client"], { metadata }: Pod): Promise<void> {
  const { namespace = "", name = "", uid } = metadata ?? {};
  const body = { metadata: { uid, "$deleteFromPrimitiveList/finalizers": [jobTrackingFinalizer] } };
  await client.patch(pods, { namespace, name }, { type: "strategic", body }).catch(ignoreGone);
}

function ignoreGone(error: unknown): void {
  if (!isReason(error, "NotFound", "Conflict")) throw error;
}
