// What a ReplicaSet does beyond its schema.
import { ageColumn, containerColumns, nameColumn, numberColumn, wide } from "./columns.ts";
import { replicasets } from "./generated/resources.ts";
import type { ReplicaSet, ReplicaSetSpec } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { templateDefaults } from "./pod-defaults.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { atLeast, validateTemplate } from "./pod-validate.ts";
import { required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { selectorText } from "./selector-text.ts";
import { selectorStays, validateSelector } from "./selector-validate.ts";
import { keepStatus } from "./status-field.ts";

export const replicasetKind: Kind<ReplicaSet> = {
  resource: replicasets,
  columns: [
    nameColumn,
    numberColumn("Desired", "Pods that are wanted.", (set) => set.spec?.replicas),
    numberColumn("Current", "Pods that exist.", (set) => set.status?.replicas),
    numberColumn("Ready", "Pods that are ready.", (set) => set.status?.readyReplicas),
    ageColumn,
    ...containerColumns<ReplicaSet>((set) => set.spec?.template?.spec?.containers ?? []),
    wide("Selector", "Labels that its pods have.", (set) => selectorText(set.spec?.selector)),
  ],
  selectableFields: { "status.replicas": (set) => String(set.status?.replicas ?? 0) },
  defaults: (set) => (set.spec === undefined ? set : { ...set, spec: specDefaults(set.spec) }),
  prepareCreate: (set) => ({ ...set, status: { replicas: 0 } }),
  prepareUpdate: keepStatus,
  validate: (set) => [
    ...validateMetadata(set),
    ...(set.spec === undefined ? [required("spec")] : specErrors(set.spec)),
  ],
  validateUpdate: selectorStays,
  unsupportedFields: unsupportedPodFields("template.spec"),
};

function specDefaults(spec: ReplicaSetSpec): ReplicaSetSpec {
  const filled = fill(spec, { replicas: 1 });
  return spec.template === undefined ? filled : { ...filled, template: templateDefaults(spec.template) };
}

function specErrors(spec: ReplicaSetSpec): readonly FieldError[] {
  return [
    ...atLeast("spec.replicas", spec.replicas, 0),
    ...atLeast("spec.minReadySeconds", spec.minReadySeconds, 0),
    ...validateSelector(spec.selector, spec.template?.metadata?.labels, "spec"),
    ...validateTemplate(spec.template, "spec.template"),
  ];
}
