// What runs a service: a Deployment, a DaemonSet, a Job, or a single Pod, by its mode and by what happens when it ends.
import type { JobSpec, PodSpec, PodTemplateSpec } from "../api/kinds/generated/types.ts";
import type { KubeObject } from "../api/kinds/resource.ts";
import { objectName, type ServiceDraft } from "./draft.ts";

export type WorkloadKind = "Deployment" | "DaemonSet" | "Job" | "Pod";

export function workloadKindOf({ mode, restart, replicas }: ServiceDraft): WorkloadKind {
  if (mode === "global") return "DaemonSet";
  if (mode === "replicated-job" || restart === "on-failure") return "Job";
  if (restart === "always") return "Deployment";
  // One that nobody starts again is nothing but its pod.
  return replicas === 1 ? "Pod" : "Job";
}

type Template = PodTemplateSpec & { readonly spec: PodSpec };

export function workloadOf(
  draft: ServiceDraft,
  template: Template,
  matchLabels: Readonly<Record<string, string>>,
): KubeObject {
  const name = objectName(draft.name);
  const made = (apiVersion: string, kind: WorkloadKind, spec: object): KubeObject =>
    ({ apiVersion, kind, metadata: { name }, spec }) as KubeObject;
  switch (workloadKindOf(draft)) {
    case "Deployment":
      return made("apps/v1", "Deployment", {
        replicas: draft.replicas,
        selector: { matchLabels },
        template,
        ...rollout(draft),
      });
    case "DaemonSet":
      return made("apps/v1", "DaemonSet", { selector: { matchLabels }, template, ...daemonUpdate(draft) });
    case "Job":
      return made("batch/v1", "Job", jobSpec(draft, template));
    case "Pod": {
      const spec = { ...template.spec, restartPolicy: "Never" };
      return { apiVersion: "v1", kind: "Pod", metadata: { ...template.metadata, name }, spec } as KubeObject;
    }
  }
}

function rollout({ update, volumes }: ServiceDraft): object {
  const seconds = update.monitorSeconds === undefined ? {} : { minReadySeconds: update.monitorSeconds };
  const keepsData = volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined);
  // Old and new would write the same volume at a time.
  if (keepsData && update.startFirst !== true) return { ...seconds, strategy: { type: "Recreate" } };
  if (update.parallelism === undefined && update.startFirst === undefined) return seconds;
  const step = stepOf(update);
  const rollingUpdate =
    update.startFirst === true ? { maxSurge: step, maxUnavailable: 0 } : { maxSurge: 0, maxUnavailable: step };
  return { ...seconds, strategy: { type: "RollingUpdate", rollingUpdate } };
}

function daemonUpdate({ update }: ServiceDraft): object {
  const seconds = update.monitorSeconds === undefined ? {} : { minReadySeconds: update.monitorSeconds };
  if (update.parallelism === undefined && update.startFirst !== true) return seconds;
  const step = update.parallelism === undefined ? 1 : stepOf(update);
  const rollingUpdate = update.startFirst === true ? { maxSurge: step, maxUnavailable: 0 } : { maxUnavailable: step };
  return { ...seconds, updateStrategy: { type: "RollingUpdate", rollingUpdate } };
}

function stepOf({ parallelism }: ServiceDraft["update"]): string | number {
  return parallelism === undefined || parallelism === 0 ? "100%" : parallelism;
}

const int32Max = 2 ** 31 - 1;

// As long as nobody says how often, containers start again in their pods. Counted tries are pods of their own, whose logs stay; of
// several replicas each has its own count.
function jobSpec({ replicas, restart, retries }: ServiceDraft, template: Template): Omit<JobSpec, "template"> {
  const limit = restart === "no" ? 0 : retries?.count;
  const restartPolicy = limit === undefined ? "OnFailure" : "Never";
  const spec = {
    completions: replicas,
    parallelism: replicas,
    template: { ...template, spec: { ...template.spec, restartPolicy } },
  };
  if (limit === undefined) return { ...spec, backoffLimit: int32Max };
  if (replicas <= 1) return { ...spec, backoffLimit: limit };
  return { ...spec, completionMode: "Indexed", backoffLimitPerIndex: limit };
}
