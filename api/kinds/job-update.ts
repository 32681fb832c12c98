// What an update may change of a Job: how many run at once, its limits, and while it is suspended also where and with what its pods run.
import type { Job, JobSpec, PodTemplateSpec } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { immutable, invalid } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { child } from "./schema/path.ts";

const fixed = [
  "selector",
  "completionMode",
  "podFailurePolicy",
  "backoffLimitPerIndex",
  "successPolicy",
  "managedBy",
] as const;

export function jobUpdateErrors({ spec }: Job, { spec: old, status }: Job): readonly FieldError[] {
  if (spec === undefined || old === undefined) return [];
  const isWaiting = old.suspend === true && status?.startTime === undefined;
  return [
    ...fixed
      .filter((name) => !equal(spec[name], old[name]))
      .map((name) => immutable(child("spec", name), spec[name] ?? null)),
    ...completionsErrors(spec, old),
    ...(equal(comparable(spec.template, isWaiting), comparable(old.template, isWaiting))
      ? []
      : [immutable("spec.template", "the pod template")]),
  ];
}

// An Indexed Job may grow and shrink as a whole.
function completionsErrors(spec: JobSpec, old: JobSpec): readonly FieldError[] {
  if (spec.completions === old.completions) return [];
  const isElastic =
    spec.completionMode === "Indexed" && spec.completions !== undefined && spec.completions === spec.parallelism;
  if (isElastic) return [];
  const hint =
    spec.completionMode === "Indexed" ? ": can only be changed together with parallelism, to the same value" : "";
  return hint === ""
    ? [immutable("spec.completions", spec.completions ?? null)]
    : [invalid("spec.completions", spec.completions ?? null, `field is immutable${hint}`)];
}

/** The template without what may change while nothing has begun. */
function comparable(template: PodTemplateSpec, isWaiting: boolean): PodTemplateSpec {
  if (!isWaiting || template.spec === undefined) return template;
  const { labels: _l, annotations: _a, ...metadata } = template.metadata ?? {};
  const { nodeSelector: _n, affinity: _f, tolerations: _t, schedulingGates: _g, ...spec } = template.spec;
  const bare = (containers: typeof spec.containers) => containers.map((c) => ({ ...c, resources: {} }));
  return {
    metadata,
    spec: {
      ...spec,
      containers: bare(spec.containers),
      ...(spec.initContainers === undefined ? {} : { initContainers: bare(spec.initContainers) }),
    },
  };
}
