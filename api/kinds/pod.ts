// What a Pod does beyond its schema.
import { ephemeralContainersPart } from "./ephemeral-containers.ts";
import { pods } from "./generated/resources.ts";
import type { Pod } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { mirrorAnnotation, mirrored } from "./mirror-pod.ts";
import { podColumns } from "./pod-columns.ts";
import { podDefaults } from "./pod-defaults.ts";
import { resizePart } from "./pod-resize.ts";
import { unsupportedPodFields } from "./pod-unsupported.ts";
import { validatePodUpdate } from "./pod-update.ts";
import { validatePodSpec } from "./pod-validate.ts";
import { qosClassOf } from "./qos.ts";
import { forbidden, required } from "./schema/field-error.ts";
import { keepStatus } from "./status-field.ts";

export const podKind: Kind<Pod> = {
  resource: pods,
  columns: podColumns,
  selectableFields: {
    "spec.nodeName": (pod) => pod.spec?.nodeName ?? "",
    "spec.restartPolicy": (pod) => pod.spec?.restartPolicy ?? "",
    "spec.schedulerName": (pod) => pod.spec?.schedulerName ?? "",
    "spec.serviceAccountName": (pod) => pod.spec?.serviceAccountName ?? "",
    "spec.hostNetwork": (pod) => String(pod.spec?.hostNetwork ?? false),
    "status.phase": (pod) => pod.status?.phase ?? "",
    "status.podIP": (pod) => pod.status?.podIP ?? "",
    "status.podIPs": (pod) => (pod.status?.podIPs ?? []).map((address) => address.ip).join(","),
    "status.nominatedNodeName": (pod) => pod.status?.nominatedNodeName ?? "",
  },
  defaults: (pod) => (pod.spec === undefined ? pod : { ...pod, spec: podDefaults(pod.spec) }),
  prepareCreate: (pod) => ({
    ...pod,
    status: { phase: "Pending", ...(pod.spec === undefined ? {} : { qosClass: qosClassOf(pod.spec) }) },
  }),
  prepareUpdate: keepStatus,
  validate: (pod) => [
    ...validateMetadata(pod),
    ...(pod.spec === undefined ? [required("spec")] : validatePodSpec(pod.spec, "spec")),
  ],
  validateCreate: ({ spec }) => [
    ...(spec?.ephemeralContainers === undefined
      ? []
      : [forbidden("spec.ephemeralContainers", "cannot be set on create")]),
    ...(spec?.nodeName && (spec.schedulingGates ?? []).length > 0
      ? [forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")]
      : []),
  ],
  validateUpdate: (pod, old) => [
    ...(mirrored(pod) === mirrored(old)
      ? []
      : [forbidden(`metadata.annotations[${mirrorAnnotation}]`, "may not be added, changed or removed")]),
    ...(pod.spec === undefined || old.spec === undefined ? [] : validatePodUpdate(pod.spec, old.spec, "spec")),
  ],
  parts: { ephemeralcontainers: ephemeralContainersPart, resize: resizePart },
  unsupportedFields: unsupportedPodFields(),
};
