// Pods that wait for others (api/kinds/start-order.ts): their gate goes once one pod of each that they wait for has come so far.
import { pods } from "../api/kinds/generated/resources.ts";
import type { OwnerReference, Pod } from "../api/kinds/generated/types.ts";
import { finishedAs } from "../api/kinds/job.ts";
import { type Dependency, openDependencies, parseDependencies, startAfterGate } from "../api/kinds/start-order.ts";
import { isReason } from "../api/kinds/status.ts";
import { byNamespace, type StartController } from "./context.ts";

export type StartOrder =
  | { readonly type: "open" }
  | { readonly type: "wait"; readonly message: string }
  | { readonly type: "refuse"; readonly message: string };

/** What is to be done with a pod that has the gate. `others` are the pods of its namespace. */
export function planStartOrder(
  pod: Pod,
  others: readonly Pod[],
  jobIsComplete: (owner: OwnerReference) => boolean,
): StartOrder {
  const dependencies = parseDependencies(pod);
  if (typeof dependencies === "string") return { type: "refuse", message: dependencies };
  const open = openDependencies(dependencies, others, jobIsComplete);
  if (open.length === 0) return { type: "open" };
  return { type: "wait", message: `waits for ${open.map(wording).join(", ")}` };
}

export const startStartOrderController: StartController = ({ client, informers, recorder, loop: start }) => {
  const loop = start({
    name: "start-order",
    reconcile: async (key) => {
      const pod = informers.pods.get(key);
      if (pod === undefined || !isGated(pod)) return undefined;
      const { namespace = "", name = "", resourceVersion = "" } = pod.metadata ?? {};
      const plan = planStartOrder(pod, informers.pods.byIndex(byNamespace, namespace), (owner) => {
        const job = informers.jobs.get(`${namespace}/${owner.name}`);
        return job?.metadata?.uid === owner.uid && finishedAs(job) === "Complete";
      });
      if (plan.type !== "open") {
        const [type, reason] =
          plan.type === "wait" ? (["Normal", "WaitingToStart"] as const) : (["Warning", "InvalidStartOrder"] as const);
        recorder.record({ resource: pods, object: pod }, type, reason, plan.message);
        return undefined;
      }
      const schedulingGates = (pod.spec?.schedulingGates ?? []).filter((gate) => gate.name !== startAfterGate);
      const body = { metadata: { resourceVersion }, spec: { schedulingGates } };
      await client.patch(pods, { namespace, name }, { type: "merge", body }).catch((error: unknown) => {
        // Somebody else wrote it: the change that comes with that has it looked at again.
        if (!isReason(error, "Conflict", "NotFound")) throw error;
      });
      return undefined;
    },
  });
  // By namespace, so that a change costs nothing where no pod waits.
  const waiting = new Map<string, Set<string>>();
  informers.pods.onChange((key, pod, previous) => {
    const namespace = (pod ?? previous)?.metadata?.namespace ?? "";
    const keys = waiting.get(namespace) ?? new Set();
    if (pod !== undefined && isGated(pod)) waiting.set(namespace, keys.add(key));
    else keys.delete(key);
    if (keys.size === 0) waiting.delete(namespace);
    for (const other of keys) loop.add(other);
  });
  informers.jobs.onChange((_, job, previous) => {
    for (const key of waiting.get((job ?? previous)?.metadata?.namespace ?? "") ?? []) loop.add(key);
  });
  return loop;
};

function isGated({ metadata, spec }: Pod): boolean {
  return (
    metadata?.deletionTimestamp === undefined &&
    spec?.schedulingGates?.some(({ name }) => name === startAfterGate) === true
  );
}

function wording({ matchLabels, condition }: Dependency): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  return `a pod with ${labels.join(",")} to be ${condition === "started" ? "running" : condition === "healthy" ? "ready" : "completed"}`;
}
