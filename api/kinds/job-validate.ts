// Rules of a Job's spec, as a Job has it and as a CronJob's template does.
// Source: Kubernetes documentation, "Jobs", "Pod failure policy", "Success policy", "Backoff limit per index".
import type { Job, JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from "./generated/types.ts";
import { countIndexes, parseIndexes } from "./job-indexes.ts";
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { atLeast, validateAnyTemplate } from "./pod-validate.ts";
import { duplicate, invalid, oneOf, required } from "./schema/field-error.ts";
import { dns1123Label, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
import { validateSelector } from "./selector-validate.ts";

const rulesMax = 20;
const exitCodesMax = 255;
const parallelismIndexedMax = 100_000;
const completionsIndexedMax = 1_000_000;
const actions = ["Count", "FailIndex", "FailJob", "Ignore"];

export function jobSpecErrors(spec: JobSpec, path: string): readonly FieldError[] {
  const restartPolicies = spec.podFailurePolicy === undefined ? ["Never", "OnFailure"] : ["Never"];
  const numbers = [
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
  ] as const;
  return [
    ...numbers.flatMap((name) => atLeast(child(path, name), spec[name], 0)),
    ...oneOf(child(path, "completionMode"), spec.completionMode, ["Indexed", "NonIndexed"]),
    ...oneOf(child(path, "podReplacementPolicy"), spec.podReplacementPolicy, ["Failed", "TerminatingOrFailed"]),
    ...(spec.podFailurePolicy !== undefined && spec.podReplacementPolicy === "TerminatingOrFailed"
      ? [
          invalid(
            child(path, "podReplacementPolicy"),
            spec.podReplacementPolicy,
            "must be Failed beside podFailurePolicy",
          ),
        ]
      : []),
    ...(spec.managedBy === undefined ? [] : complaints(child(path, "managedBy"), spec.managedBy, qualifiedName)),
    ...indexedErrors(spec, path),
    ...failurePolicyErrors(spec, child(path, "podFailurePolicy")),
    ...successPolicyErrors(spec, child(path, "successPolicy")),
    ...validateAnyTemplate(spec.template, child(path, "template"), restartPolicies),
  ];
}

/** The selector that every stored Job has. */
export function selectorErrors(spec: JobSpec): readonly FieldError[] {
  return validateSelector(spec.selector, spec.template?.metadata?.labels, "spec");
}

/** An Indexed Job's pods are hosts by their names: "pi-99". */
export function jobNameErrors({ metadata, spec }: Job): readonly FieldError[] {
  if (spec?.completionMode !== "Indexed" || metadata?.name === undefined) return [];
  const host = `${metadata.name}-${Math.max(0, (spec.completions ?? 1) - 1)}`;
  return complaints("metadata.name", host, dns1123Label);
}

function indexedErrors(spec: JobSpec, path: string): readonly FieldError[] {
  const { completions, parallelism = 1, backoffLimitPerIndex, maxFailedIndexes } = spec;
  if (spec.completionMode !== "Indexed") {
    return (["backoffLimitPerIndex", "maxFailedIndexes"] as const)
      .filter((name) => spec[name] !== undefined)
      .map((name) => invalid(child(path, name), spec[name], "requires indexed completion mode"));
  }
  const manyErrors =
    parallelism > parallelismIndexedMax
      ? [invalid(child(path, "parallelism"), parallelism, `must be ${parallelismIndexedMax} or less when indexed`)]
      : [];
  if (completions === undefined)
    return [required(child(path, "completions"), "when completion mode is Indexed"), ...manyErrors];
  return [
    ...manyErrors,
    ...(completions > completionsIndexedMax
      ? [invalid(child(path, "completions"), completions, `must be ${completionsIndexedMax} or less when indexed`)]
      : []),
    ...atLeast(child(path, "backoffLimitPerIndex"), backoffLimitPerIndex, 0),
    ...atLeast(child(path, "maxFailedIndexes"), maxFailedIndexes, 0),
    ...(maxFailedIndexes !== undefined && backoffLimitPerIndex === undefined
      ? [required(child(path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified")]
      : []),
    ...(maxFailedIndexes !== undefined && maxFailedIndexes > completions
      ? [invalid(child(path, "maxFailedIndexes"), maxFailedIndexes, "must be less than or equal to completions")]
      : []),
  ];
}

function failurePolicyErrors(spec: JobSpec, path: string): readonly FieldError[] {
  const rules = spec.podFailurePolicy?.rules ?? [];
  const names = new Set(
    [...(spec.template?.spec?.containers ?? []), ...(spec.template?.spec?.initContainers ?? [])].map((c) => c.name),
  );
  return [
    ...tooMany(rules, child(path, "rules")),
    ...rules.flatMap((rule, i) => failureRuleErrors(rule, at(child(path, "rules"), i), { spec, names })),
  ];
}

function failureRuleErrors(
  { action, onExitCodes, onPodConditions = [] }: PodFailurePolicyRule,
  path: string,
  { spec, names }: { readonly spec: JobSpec; readonly names: ReadonlySet<string> },
): readonly FieldError[] {
  const codes = child(path, "onExitCodes");
  const { operator, values = [], containerName } = onExitCodes ?? {};
  return [
    ...oneOf(child(path, "action"), action, actions),
    ...(action === "FailIndex" && spec.backoffLimitPerIndex === undefined
      ? [invalid(child(path, "action"), action, "requires the backoffLimitPerIndex to be set")]
      : []),
    ...((onExitCodes === undefined) === (onPodConditions.length === 0)
      ? [invalid(path, "", "specifying one of OnExitCodes and OnPodConditions is required")]
      : []),
    ...tooMany(onPodConditions, child(path, "onPodConditions")),
    ...onPodConditions.flatMap(({ type, status }, i) => [
      ...complaints(child(at(child(path, "onPodConditions"), i), "type"), type, qualifiedName),
      ...oneOf(child(at(child(path, "onPodConditions"), i), "status"), status, ["False", "True", "Unknown"]),
    ]),
    ...(onExitCodes === undefined
      ? []
      : [
          ...oneOf(child(codes, "operator"), operator, ["In", "NotIn"]),
          ...(containerName === undefined || names.has(containerName)
            ? []
            : [
                invalid(
                  child(codes, "containerName"),
                  containerName,
                  "must be one of the container or initContainer names in the pod template",
                ),
              ]),
          ...exitCodeErrors(operator ?? "", values, child(codes, "values")),
        ]),
  ];
}

function exitCodeErrors(operator: string, values: readonly number[], path: string): readonly FieldError[] {
  if (values.length === 0) return [invalid(path, values, "at least one value is required")];
  if (values.length > exitCodesMax)
    return [invalid(path, values.length, `may not be more than ${exitCodesMax} values`)];
  return [
    ...values.flatMap((value, i) => [
      ...(operator === "In" && value === 0 ? [invalid(at(path, i), value, "must not be 0 for the In operator")] : []),
      ...(values.indexOf(value) === i ? [] : [duplicate(at(path, i), value)]),
    ]),
    ...(values.every((value, i) => i === 0 || value >= (values[i - 1] ?? 0))
      ? []
      : [invalid(path, values, "must be ordered")]),
  ];
}

function successPolicyErrors(spec: JobSpec, path: string): readonly FieldError[] {
  if (spec.successPolicy === undefined) return [];
  const { rules } = spec.successPolicy;
  if (spec.completionMode !== "Indexed") return [invalid(path, spec.successPolicy, "requires indexed completion mode")];
  if (rules.length === 0)
    return [required(child(path, "rules"), "at least one rules must be specified when the successPolicy is specified")];
  return [
    ...tooMany(rules, child(path, "rules")),
    ...rules.flatMap((rule, i) => successRuleErrors(rule, at(child(path, "rules"), i), spec.completions ?? 0)),
  ];
}

function successRuleErrors(rule: SuccessPolicyRule, path: string, completions: number): readonly FieldError[] {
  const { succeededCount, succeededIndexes } = rule;
  if (succeededCount === undefined && succeededIndexes === undefined) {
    return [required(path, "at least one of succeededCount or succeededIndexes must be specified")];
  }
  const indexes = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes, completions);
  const most = typeof indexes === "object" ? countIndexes(indexes) : completions;
  return [
    ...(typeof indexes === "string" ? [invalid(child(path, "succeededIndexes"), succeededIndexes, indexes)] : []),
    ...atLeast(child(path, "succeededCount"), succeededCount, 1),
    ...(succeededCount !== undefined && succeededCount > most
      ? [
          invalid(
            child(path, "succeededCount"),
            succeededCount,
            `must be less than or equal to ${most} (the number of ${succeededIndexes === undefined ? "completions" : "indexes in succeededIndexes"})`,
          ),
        ]
      : []),
  ];
}

function tooMany(list: readonly unknown[], path: string): readonly FieldError[] {
  if (list.length <= rulesMax) return [];
  return [{ field: path, type: "tooMany", message: `Too many: ${list.length}: must have at most ${rulesMax} items` }];
}
