// What a Deployment does beyond its schema.
import { ageColumn, column, containerColumns, nameColumn, numberColumn, wide } from "./columns.ts";
import { deployments } from "./generated/resources.ts";
import type { Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { templateDefaults } from "./pod-defaults.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { atLeast, validateTemplate } from "./pod-validate.ts";
import { isZero, portionErrors, unavailableErrors } from "./portion.ts";
import { forbidden, invalid, oneOf, required } from "./schema/field-error.ts";
import { fill } from "./schema/fill.ts";
import { equal } from "./schema/patch-json.ts";
import { selectorText } from "./selector-text.ts";
import { selectorStays, validateSelector } from "./selector-validate.ts";
import { keepStatus, withoutStatus } from "./status-field.ts";

export const deploymentKind: Kind<Deployment> = {
  resource: deployments,
  columns: [
    nameColumn,
    column(
      "Ready",
      "Pods that are ready, of those wanted.",
      (d) => `${d.status?.readyReplicas ?? 0}/${d.spec?.replicas ?? 0}`,
    ),
    numberColumn("Up-to-date", "Pods of the present template.", (d) => d.status?.updatedReplicas),
    numberColumn("Available", "Pods that have been ready for minReadySeconds.", (d) => d.status?.availableReplicas),
    ageColumn,
    ...containerColumns<Deployment>((d) => d.spec?.template.spec?.containers ?? []),
    wide("Selector", "Labels that its pods have.", (d) => selectorText(d.spec?.selector)),
  ],
  selectableFields: {},
  defaults: (deployment) =>
    deployment.spec === undefined ? deployment : { ...deployment, spec: specDefaults(deployment.spec) },
  prepareCreate: withoutStatus,
  prepareUpdate: (deployment, old) => keepStatus(withoutOldStrategy(deployment, old), old),
  validate: (deployment) => [
    ...validateMetadata(deployment),
    ...(deployment.spec === undefined ? [required("spec")] : specErrors(deployment.spec)),
  ],
  validateUpdate: selectorStays,
  unsupportedFields: unsupportedPodFields("template.spec"),
};

function specDefaults(spec: DeploymentSpec): DeploymentSpec {
  return {
    ...fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 }),
    strategy: strategyDefaults(spec.strategy ?? {}),
    template: templateDefaults(spec.template),
  };
}

function strategyDefaults(strategy: DeploymentStrategy): DeploymentStrategy {
  const filled = fill(strategy, { type: "RollingUpdate" });
  if (filled.type !== "RollingUpdate") return filled;
  return { ...filled, rollingUpdate: fill(filled.rollingUpdate ?? {}, { maxSurge: "25%", maxUnavailable: "25%" }) };
}

// Who applies Recreate over RollingUpdate does not mention what was filled in for the latter: it goes with it.
function withoutOldStrategy(deployment: Deployment, old: Deployment): Deployment {
  const { spec } = deployment;
  const before = old.spec?.strategy;
  if (spec?.strategy?.type !== "Recreate" || before?.type === "Recreate") return deployment;
  if (!equal(spec.strategy.rollingUpdate, before?.rollingUpdate)) return deployment;
  return { ...deployment, spec: { ...spec, strategy: { type: "Recreate" } } };
}

function specErrors(spec: DeploymentSpec): readonly FieldError[] {
  const { minReadySeconds = 0, progressDeadlineSeconds = 600 } = spec;
  return [
    ...atLeast("spec.replicas", spec.replicas, 0),
    ...atLeast("spec.minReadySeconds", spec.minReadySeconds, 0),
    ...atLeast("spec.revisionHistoryLimit", spec.revisionHistoryLimit, 0),
    ...(progressDeadlineSeconds > minReadySeconds
      ? []
      : [invalid("spec.progressDeadlineSeconds", progressDeadlineSeconds, "must be greater than minReadySeconds")]),
    ...validateSelector(spec.selector, spec.template?.metadata?.labels, "spec"),
    ...validateTemplate(spec.template, "spec.template"),
    ...strategyErrors(spec.strategy ?? {}, "spec.strategy"),
  ];
}

function strategyErrors({ type, rollingUpdate }: DeploymentStrategy, path: string): readonly FieldError[] {
  if (type === "Recreate") {
    return rollingUpdate === undefined
      ? []
      : [forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'")];
  }
  return [
    ...oneOf(`${path}.type`, type, ["Recreate", "RollingUpdate"]),
    ...rollingErrors(rollingUpdate ?? {}, `${path}.rollingUpdate`),
  ];
}

function rollingErrors(
  { maxSurge = "25%", maxUnavailable = "25%" }: RollingUpdateDeployment,
  path: string,
): readonly FieldError[] {
  return [
    ...unavailableErrors(maxUnavailable, `${path}.maxUnavailable`),
    ...portionErrors(maxSurge, `${path}.maxSurge`),
    ...(isZero(maxSurge) && isZero(maxUnavailable)
      ? [invalid(`${path}.maxUnavailable`, maxUnavailable, "may not be 0 when `maxSurge` is 0")]
      : []),
  ];
}
