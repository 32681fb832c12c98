// What a PersistentVolumeClaim does beyond its schema.
import { ageColumn, column, nameColumn, wide } from "./columns.ts";
import { persistentvolumeclaims } from "./generated/resources.ts";
import type { PersistentVolumeClaim } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { accessModeErrors, accessModesText } from "./persistent-volume.ts";
import { forbidden, required } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { keepStatus } from "./status-field.ts";

export const persistentVolumeClaimKind: Kind<PersistentVolumeClaim> = {
  resource: persistentvolumeclaims,
  columns: [
    nameColumn,
    column("Status", "Pending, Bound or Lost.", (claim) => claim.status?.phase ?? "Pending"),
    column("Volume", "The volume that it is bound to.", (claim) => claim.spec?.volumeName ?? ""),
    column("Capacity", "What the volume holds.", (claim) => String(claim.status?.capacity?.["storage"] ?? "")),
    column("Access Modes", "How it may be mounted.", (claim) => accessModesText(claim.spec?.accessModes)),
    column("StorageClass", "What makes its volume.", (claim) => claim.spec?.storageClassName ?? ""),
    ageColumn,
    wide("VolumeMode", "Filesystem or Block.", (claim) => claim.spec?.volumeMode ?? "Filesystem"),
  ],
  selectableFields: {},
  defaults: (claim) => ({
    ...claim,
    spec: { ...claim.spec, volumeMode: claim.spec?.volumeMode ?? "Filesystem" },
  }),
  prepareCreate: (claim) => ({ ...claim, status: { phase: "Pending" } }),
  prepareUpdate: keepStatus,
  validate: (claim) => [...validateMetadata(claim), ...specErrors(claim)],
  validateUpdate: (claim, old) => {
    const { resources: _, volumeName, storageClassName, ...rest } = claim.spec ?? {};
    const { resources: __, volumeName: oldName, storageClassName: oldClass, ...oldRest } = old.spec ?? {};
    const isFilled = (oldName ?? volumeName) === volumeName && (oldClass ?? storageClassName) === storageClassName;
    return equal(rest, oldRest) && isFilled
      ? []
      : [
          forbidden(
            "spec",
            "is immutable after creation except resources.requests, and volumeName and storageClassName while they are empty",
          ),
        ];
  },
};

function specErrors({ spec }: PersistentVolumeClaim): readonly FieldError[] {
  return [
    ...accessModeErrors("spec.accessModes", spec?.accessModes),
    ...(spec?.resources?.requests?.["storage"] === undefined ? [required("spec.resources.requests[storage]")] : []),
  ];
}
