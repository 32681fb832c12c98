// What a DaemonSet does beyond its schema.
import { ageColumn, column, containerColumns, labelsText, nameColumn, numberColumn, wide } from "./columns.ts";
import { daemonsets } from "./generated/resources.ts";
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { templateDefaults } from "./pod-defaults.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { atLeast, validateTemplate } from "./pod-validate.ts";
import { isZero, unavailableErrors } from "./portion.ts";
import { invalid, oneOf, required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { selectorText } from "./selector-text.ts";
import { selectorStays, validateSelector } from "./selector-validate.ts";
import { keepStatus } from "./status-field.ts";

export const daemonsetKind: Kind<DaemonSet> = {
  resource: daemonsets,
  columns: [
    nameColumn,
    numberColumn("Desired", "Nodes that should run its pod.", (set) => set.status?.desiredNumberScheduled),
    numberColumn("Current", "Nodes that have its pod.", (set) => set.status?.currentNumberScheduled),
    numberColumn("Ready", "Nodes whose pod is ready.", (set) => set.status?.numberReady),
    numberColumn(
      "Up-to-date",
      "Nodes with a pod of the present template.",
      (set) => set.status?.updatedNumberScheduled,
    ),
    numberColumn(
      "Available",
      "Nodes whose pod has been ready for minReadySeconds.",
      (set) => set.status?.numberAvailable,
    ),
    column("Node Selector", "Labels of the nodes that it is for.", (set) =>
      labelsText(set.spec?.template.spec?.nodeSelector),
    ),
    ageColumn,
    ...containerColumns<DaemonSet>((set) => set.spec?.template.spec?.containers ?? []),
    wide("Selector", "Labels that its pods have.", (set) => selectorText(set.spec?.selector)),
  ],
  selectableFields: {},
  defaults: (set) => (set.spec === undefined ? set : { ...set, spec: specDefaults(set.spec) }),
  prepareCreate: (set) => ({
    ...set,
    status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
  }),
  prepareUpdate: keepStatus,
  validate: (set) => [
    ...validateMetadata(set),
    ...(set.spec === undefined ? [required("spec")] : specErrors(set.spec)),
  ],
  validateUpdate: selectorStays,
  unsupportedFields: unsupportedPodFields("template.spec"),
};

function specDefaults(spec: DaemonSetSpec): DaemonSetSpec {
  return {
    ...fill(spec, { revisionHistoryLimit: 10 }),
    updateStrategy: strategyDefaults(spec.updateStrategy ?? {}),
    template: templateDefaults(spec.template),
  };
}

function strategyDefaults(strategy: DaemonSetUpdateStrategy): DaemonSetUpdateStrategy {
  const filled = fill(strategy, { type: "RollingUpdate" });
  if (filled.type !== "RollingUpdate") return filled;
  // Who surges takes nothing away first.
  const surges = !isZero(filled.rollingUpdate?.maxSurge ?? 0);
  const defaults = { maxUnavailable: surges ? 0 : 1, maxSurge: 0 };
  return { ...filled, rollingUpdate: fill(filled.rollingUpdate ?? {}, defaults) };
}

function specErrors(spec: DaemonSetSpec): readonly FieldError[] {
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  return [
    ...atLeast("spec.minReadySeconds", spec.minReadySeconds, 0),
    ...atLeast("spec.revisionHistoryLimit", spec.revisionHistoryLimit, 0),
    ...validateSelector(spec.selector, spec.template?.metadata?.labels, "spec"),
    ...validateTemplate(spec.template, "spec.template"),
    ...oneOf("spec.updateStrategy.type", type, ["OnDelete", "RollingUpdate"]),
    ...(type === "RollingUpdate" ? rollingErrors(rollingUpdate ?? {}, "spec.updateStrategy.rollingUpdate") : []),
  ];
}

function rollingErrors(
  { maxSurge = 0, maxUnavailable = 1 }: RollingUpdateDaemonSet,
  path: string,
): readonly FieldError[] {
  return [
    ...unavailableErrors(maxUnavailable, `${path}.maxUnavailable`),
    ...unavailableErrors(maxSurge, `${path}.maxSurge`),
    ...(isZero(maxSurge) && isZero(maxUnavailable)
      ? [invalid(`${path}.maxUnavailable`, maxUnavailable, "cannot be 0 when maxSurge is 0")]
      : []),
    ...(!isZero(maxSurge) && !isZero(maxUnavailable)
      ? [invalid(`${path}.maxSurge`, maxSurge, "may not be set when maxUnavailable is non-zero")]
      : []),
  ];
}
