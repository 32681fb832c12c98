// A Job's pods: what each is made from, what it says of itself, and which counts as failed. Pure.

import { conditionOf, isTrue } from "../api/kinds/conditions.ts";
import { jobs } from "../api/kinds/generated/resources.ts";
import type { Container, EnvVar, Job, Pod } from "../api/kinds/generated/types.ts";
import { completionIndexKey, jobTrackingFinalizer } from "../api/kinds/job.ts";
import { controllerReference } from "../api/kinds/owners.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { stableName } from "./stable-name.ts";

export const failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count";

/** A pod that is to be made; `index` for Indexed Jobs. */
export interface JobSlot {
  readonly name: string;
  readonly index?: number;
  /** How often the index has failed before; with backoffLimitPerIndex. */
  readonly failures?: number;
}

export function isIndexed({ spec }: Job): boolean {
  return spec?.completionMode === "Indexed";
}

export function indexOf({ metadata }: Pod): number | undefined {
  const text = metadata?.annotations?.[completionIndexKey];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

export function failuresBefore({ metadata }: Pod): number {
  return Number(metadata?.annotations?.[failureCountAnnotation] ?? 0);
}

export function isTracked({ metadata }: Pod): boolean {
  return metadata?.finalizers?.includes(jobTrackingFinalizer) === true;
}

export function onlyReplacesFailed({ spec }: Job): boolean {
  return spec?.podReplacementPolicy === "Failed";
}

/** One that is being deleted counts as failed at once, unless the Job waits for its end. */
export function hasFailed(pod: Pod, job: Job): boolean {
  if (hasEnded(pod)) return pod.status?.phase === "Failed";
  if (pod.metadata?.deletionTimestamp === undefined) return false;
  // Nobody ever runs it who could say that it has ended.
  return !onlyReplacesFailed(job) || pod.spec?.nodeName === undefined;
}

/** Being deleted, and perhaps still running. */
export function isTerminating(pod: Pod): boolean {
  return pod.metadata?.deletionTimestamp !== undefined && !hasEnded(pod) && pod.spec?.nodeName !== undefined;
}

/** When its last container ended, ms since the epoch. */
export function endedAtMs({ metadata, status }: Pod): number {
  const ends = (status?.containerStatuses ?? []).map(({ state }) => Date.parse(state?.terminated?.finishedAt ?? ""));
  const known = ends.filter((ms) => !Number.isNaN(ms));
  if (known.length > 0) return Math.max(...known);
  const since = conditionOf(status?.conditions, "Ready")?.lastTransitionTime ?? metadata?.creationTimestamp ?? "";
  return Date.parse(since);
}

/** Its own fault, not a lost node's or an eviction's. */
export function failedByItself({ status }: Pod): boolean {
  return status?.phase === "Failed" && !isTrue(status.conditions, "DisruptionTarget");
}

/** The name of the `ordinal`th pod for a Job or one of its indexes. */
export function podName(job: Job, index: number | undefined, ordinal: number): string {
  const { name = "", uid = "" } = job.metadata ?? {};
  return index === undefined ? stableName(name, uid, ordinal) : stableName(`${name}-${index}`, uid, index, ordinal);
}

export function jobPod(job: Job, { name, index, failures }: JobSlot): Pod {
  const { metadata, spec } = job.spec?.template ?? {};
  const indexed = index === undefined ? {} : { [completionIndexKey]: String(index) };
  const counted = failures === undefined ? {} : { [failureCountAnnotation]: String(failures) };
  const env = (container: Container) => (index === undefined ? container : withIndex(container));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      namespace: job.metadata?.namespace ?? "",
      name,
      labels: { ...metadata?.labels, ...indexed },
      annotations: { ...metadata?.annotations, ...indexed, ...counted },
      finalizers: [...(metadata?.finalizers ?? []), jobTrackingFinalizer],
      ownerReferences: [controllerReference(jobs, job)],
    },
    spec: {
      ...spec,
      containers: (spec?.containers ?? []).map(env),
      ...(spec?.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(env) }),
      ...(index === undefined ? {} : { hostname: hostnameOf(job, index) }),
    },
  };
}

const hostnameCharsMax = 63;

function hostnameOf({ metadata }: Job, index: number): string {
  const end = `-${index}`;
  return `${metadata?.name?.slice(0, hostnameCharsMax - end.length)}${end}`;
}

function withIndex(container: Container): Container {
  const env: EnvVar = {
    name: "JOB_COMPLETION_INDEX",
    valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: `metadata.labels['${completionIndexKey}']` } },
  };
  const has = container.env?.some(({ name }) => name === env.name) === true;
  return has ? container : { ...container, env: [...(container.env ?? []), env] };
}
