// What a Job does beyond its schema.
import { assert } from "../../lib/assert.ts";
import { ageColumn, column, containerColumns, nameColumn, wide } from "./columns.ts";
import { isTrue } from "./conditions.ts";
import { jobs } from "./generated/resources.ts";
import type { Job, JobSpec, PodFailurePolicyRule } from "./generated/types.ts";
import { jobUpdateErrors } from "./job-update.ts";
import { jobNameErrors, jobSpecErrors, selectorErrors } from "./job-validate.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { templateDefaults } from "./pod-defaults.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { humanDuration } from "./schema/human-age.ts";
import { selectorText } from "./selector-text.ts";
import { keepStatus } from "./status-field.ts";

const jobNameLabel = "batch.kubernetes.io/job-name";
const controllerUidLabel = "batch.kubernetes.io/controller-uid";
export const completionIndexKey = "batch.kubernetes.io/job-completion-index";
/** On a Job's pods until they are counted, so that none is missed. */
export const jobTrackingFinalizer = "batch.kubernetes.io/job-tracking";

const backoffLimitDefault = 6;
const int32Max = 2 ** 31 - 1;

export const jobKind: Kind<Job> = {
  resource: jobs,
  columns: [
    nameColumn,
    column("Status", "How far it is.", statusText),
    column("Completions", "Pods that have succeeded, of those wanted.", completionsText),
    column("Duration", "How long it has run.", durationText),
    ageColumn,
    ...containerColumns<Job>((job) => job.spec?.template.spec?.containers ?? []),
    wide("Selector", "Labels that its pods have.", (job) => selectorText(job.spec?.selector)),
  ],
  selectableFields: { "status.successful": (job) => String(job.status?.succeeded ?? 0) },
  defaults: (job) => {
    if (job.spec === undefined) return job;
    const labels = job.metadata?.labels ?? job.spec.template?.metadata?.labels;
    const metadata = labels === undefined ? job.metadata : { ...job.metadata, labels };
    return { ...job, ...(metadata === undefined ? {} : { metadata }), spec: jobSpecDefaults(job.spec) };
  },
  prepareCreate: (job) => ({
    ...job,
    ...(job.spec === undefined ? {} : { spec: withSelector(job, job.spec) }),
    status: {},
  }),
  prepareUpdate: keepStatus,
  validate: (job) => [
    ...validateMetadata(job),
    ...(job.spec === undefined
      ? [required("spec")]
      : [...jobNameErrors(job), ...selectorErrors(job.spec), ...jobSpecErrors(job.spec, "spec")]),
  ],
  validateUpdate: jobUpdateErrors,
  unsupportedFields: unsupportedPodFields("template.spec"),
};

/** Of a Job and of a CronJob's template. */
export function jobSpecDefaults(spec: JobSpec): JobSpec {
  const { completions, parallelism, podFailurePolicy } = spec;
  return {
    ...fill(spec, {
      parallelism: 1,
      ...(completions === undefined && parallelism === undefined ? { completions: 1 } : {}),
      backoffLimit: spec.backoffLimitPerIndex === undefined ? backoffLimitDefault : int32Max,
      completionMode: "NonIndexed",
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: podFailurePolicy === undefined ? "TerminatingOrFailed" : "Failed",
    }),
    ...(podFailurePolicy === undefined
      ? {}
      : { podFailurePolicy: { ...podFailurePolicy, rules: podFailurePolicy.rules.map(ruleDefaults) } }),
    template: templateDefaults(spec.template),
  };
}

function ruleDefaults(rule: PodFailurePolicyRule): PodFailurePolicyRule {
  const { onPodConditions } = rule;
  if (onPodConditions === undefined) return rule;
  return { ...rule, onPodConditions: onPodConditions.map((pattern) => fill(pattern, { status: "True" })) };
}

// Nobody else's pods have this selector: it is the Job's own uid.
function withSelector({ metadata }: Job, spec: JobSpec): JobSpec {
  if (spec.manualSelector === true) return spec;
  const { name = "", uid } = metadata ?? {};
  assert(uid !== undefined, "an object that is prepared has a uid");
  const { template, selector } = spec;
  const labels = {
    ...template.metadata?.labels,
    [controllerUidLabel]: uid,
    "controller-uid": uid,
    [jobNameLabel]: name,
    "job-name": name,
  };
  return {
    ...spec,
    selector: { ...selector, matchLabels: { ...selector?.matchLabels, [controllerUidLabel]: uid } },
    template: { ...template, metadata: { ...template.metadata, labels } },
  };
}

export type FinishedType = "Complete" | "Failed";

/** How it ended; undefined while it goes on. */
export function finishedAs({ status }: Job): FinishedType | undefined {
  return (["Complete", "Failed"] as const).find((type) => isTrue(status?.conditions, type));
}

function statusText(job: Job): string {
  const finished = finishedAs(job);
  if (finished !== undefined) return finished;
  if (job.metadata?.deletionTimestamp !== undefined) return "Terminating";
  const shown = ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find((type) =>
    isTrue(job.status?.conditions, type),
  );
  return shown ?? "Running";
}

function completionsText({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 1;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function durationText({ status }: Job, nowMs: number): string {
  if (status?.startTime === undefined) return "";
  const ended = [status.completionTime, ...(status.conditions ?? []).filter(isFailed).map((c) => c.lastTransitionTime)];
  const endMs = ended.find((time) => time !== undefined);
  return humanDuration((endMs === undefined ? nowMs : Date.parse(endMs)) - Date.parse(status.startTime));
}

function isFailed({ type, status }: { readonly type: string; readonly status: string }): boolean {
  return type === "Failed" && status === "True";
}
