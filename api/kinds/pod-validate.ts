// Rules of a pod's spec, as a pod has it and as a template does.
import { validateContainer } from "./container-validate.ts";
import type { PodSpec, PodTemplateSpec, Toleration, TopologySpreadConstraint } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints, duplicates, validateLabels } from "./metadata.ts";
import { podHostErrors } from "./pod-host-validate.ts";
import { podResource, resourceErrors } from "./resource-validate.ts";
import { forbidden, invalid, oneOf, required } from "./schema/field-error.ts";
import { dns1123Label, dns1123Subdomain, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
import { podSecurityErrors, securityErrors } from "./security-validate.ts";
import { volumeErrors } from "./volume-validate.ts";

export function validatePodSpec(spec: PodSpec, path: string): readonly FieldError[] {
  const volumes = spec.volumes ?? [];
  const volumeNames = new Set(volumes.map((volume) => volume.name));
  const graceSeconds = spec.terminationGracePeriodSeconds ?? 30;
  const containers = spec.containers ?? [];
  const init = spec.initContainers ?? [];
  const named = [
    ...init.map((c, i) => ({ name: c.name, path: at(child(path, "initContainers"), i) })),
    ...containers.map((c, i) => ({ name: c.name, path: at(child(path, "containers"), i) })),
  ];
  return [
    ...volumes.flatMap((volume, i) => volumeErrors(volume, at(child(path, "volumes"), i))),
    ...duplicates(
      volumes.map((v) => v.name),
      (i) => child(at(child(path, "volumes"), i), "name"),
    ),
    ...(containers.length === 0 ? [required(child(path, "containers"))] : []),
    ...podSecurityErrors(spec, path),
    ...podHostErrors(spec, path),
    ...containers.flatMap((c, i) =>
      validateContainer(c, at(child(path, "containers"), i), { volumeNames, graceSeconds, ends: false }),
    ),
    ...init.flatMap((c, i) =>
      validateContainer(c, at(child(path, "initContainers"), i), {
        volumeNames,
        graceSeconds,
        ends: c.restartPolicy !== "Always",
      }),
    ),
    ...[...init, ...containers].flatMap((c, i) =>
      securityErrors(c.securityContext ?? {}, child(named[i]?.path ?? path, "securityContext"), spec),
    ),
    ...duplicates(
      named.map((n) => n.name),
      (i) => child(named[i]?.path ?? path, "name"),
    ),
    ...oneOf(child(path, "restartPolicy"), spec.restartPolicy, ["Always", "Never", "OnFailure"]),
    ...oneOf(child(path, "dnsPolicy"), spec.dnsPolicy, ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ...oneOf(child(path, "preemptionPolicy"), spec.preemptionPolicy, ["Never", "PreemptLowerPriority"]),
    ...resourceErrors(spec.resources ?? {}, child(path, "resources"), podResource),
    ...atLeast(child(path, "terminationGracePeriodSeconds"), spec.terminationGracePeriodSeconds, 0),
    ...atLeast(child(path, "activeDeadlineSeconds"), spec.activeDeadlineSeconds, 1),
    ...optional(child(path, "hostname"), spec.hostname, dns1123Label),
    ...optional(child(path, "subdomain"), spec.subdomain, dns1123Label),
    ...optional(child(path, "nodeName"), spec.nodeName, dns1123Subdomain),
    ...optional(child(path, "runtimeClassName"), spec.runtimeClassName || undefined, dns1123Subdomain),
    ...optional(child(path, "serviceAccountName"), spec.serviceAccountName, dns1123Subdomain),
    ...validateLabels(child(path, "nodeSelector"), spec.nodeSelector),
    ...(spec.tolerations ?? []).flatMap((t, i) => tolerationErrors(t, at(child(path, "tolerations"), i))),
    ...(spec.topologySpreadConstraints ?? []).flatMap((t, i) =>
      spreadErrors(t, at(child(path, "topologySpreadConstraints"), i)),
    ),
    ...affinityErrors(spec, child(path, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution")),
  ];
}

/** A template of workloads that go on for ever. */
export function validateTemplate(template: PodTemplateSpec | undefined, path: string): readonly FieldError[] {
  const deadline = template?.spec?.activeDeadlineSeconds;
  return [
    ...validateAnyTemplate(template, path, ["Always"]),
    ...(deadline === undefined
      ? []
      : [forbidden(child(path, "spec.activeDeadlineSeconds"), "pods that go on for ever have no deadline")]),
  ];
}

/** A template's labels, and its spec; its restart policy is one of `restartPolicies`. */
export function validateAnyTemplate(
  template: PodTemplateSpec | undefined,
  path: string,
  restartPolicies: readonly string[],
): readonly FieldError[] {
  if (template?.spec === undefined) return [required(child(path, "spec"))];
  const { restartPolicy, ephemeralContainers } = template.spec;
  return [
    ...(ephemeralContainers === undefined
      ? []
      : [forbidden(child(path, "spec.ephemeralContainers"), "ephemeral containers not allowed in pod template")]),
    ...validateLabels(child(path, "metadata.labels"), template.metadata?.labels),
    ...validatePodSpec(template.spec, child(path, "spec")),
    ...(restartPolicy === undefined ? [] : oneOf(child(path, "spec.restartPolicy"), restartPolicy, restartPolicies)),
  ];
}

export function atLeast(path: string, value: number | undefined, least: number): readonly FieldError[] {
  return value === undefined || value >= least
    ? []
    : [invalid(path, value, `must be greater than or equal to ${least}`)];
}

function optional(
  path: string,
  value: string | undefined,
  rule: (text: string) => readonly string[],
): readonly FieldError[] {
  return value ? complaints(path, value, rule) : [];
}

const effects = ["NoExecute", "NoSchedule", "PreferNoSchedule"];

function tolerationErrors(toleration: Toleration, path: string): readonly FieldError[] {
  const { key, operator, value, effect, tolerationSeconds } = toleration;
  return [
    ...optional(child(path, "key"), key, qualifiedName),
    ...(operator ? oneOf(child(path, "operator"), operator, ["Equal", "Exists", "Gt", "Lt"]) : []),
    ...(!key && operator !== "Exists"
      ? [
          invalid(
            child(path, "operator"),
            operator ?? "",
            'must be Exists when `key` is empty, which means "match all values and all keys"',
          ),
        ]
      : []),
    ...(operator === "Exists" && value
      ? [invalid(child(path, "value"), value, "must be empty when `operator` is 'Exists'")]
      : []),
    ...(effect ? oneOf(child(path, "effect"), effect, effects) : []),
    ...(tolerationSeconds !== undefined && effect !== "NoExecute"
      ? [invalid(child(path, "effect"), effect ?? "", "must be 'NoExecute' when `tolerationSeconds` is set")]
      : []),
  ];
}

function spreadErrors(constraint: TopologySpreadConstraint, path: string): readonly FieldError[] {
  return [
    ...atLeast(child(path, "maxSkew"), constraint.maxSkew, 1),
    ...(constraint.topologyKey
      ? complaints(child(path, "topologyKey"), constraint.topologyKey, qualifiedName)
      : [required(child(path, "topologyKey"))]),
    ...oneOf(child(path, "whenUnsatisfiable"), constraint.whenUnsatisfiable, ["DoNotSchedule", "ScheduleAnyway"]),
    ...atLeast(child(path, "minDomains"), constraint.minDomains, 1),
  ];
}

const nodeOperators = ["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"];

function affinityErrors(spec: PodSpec, path: string): readonly FieldError[] {
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms === undefined) return [];
  if (terms.length === 0)
    return [required(child(path, "nodeSelectorTerms"), "must have at least one node selector term")];
  return terms.flatMap((term, t) =>
    (term.matchExpressions ?? []).flatMap((e, i) => {
      const here = at(child(at(child(path, "nodeSelectorTerms"), t), "matchExpressions"), i);
      const count = e.values?.length ?? 0;
      const wrongCount =
        e.operator === "In" || e.operator === "NotIn"
          ? count === 0 && "must be specified when `operator` is 'In' or 'NotIn'"
          : e.operator === "Gt" || e.operator === "Lt"
            ? count !== 1 && "must be specified single value when `operator` is 'Lt' or 'Gt'"
            : count > 0 && "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
      return [
        ...complaints(child(here, "key"), e.key, qualifiedName),
        ...oneOf(child(here, "operator"), e.operator, nodeOperators),
        ...(wrongCount === false ? [] : [invalid(child(here, "values"), e.values ?? [], wrongCount)]),
      ];
    }),
  );
}
