// What a PersistentVolume does beyond its schema.
import { ageColumn, column, nameColumn, wide } from "./columns.ts";
import { persistentvolumes } from "./generated/resources.ts";
import type { PersistentVolume } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { required, unsupported } from "./schema/field-error.ts";
import { keepStatus } from "./status-field.ts";

const accessModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: "RWO",
  ReadOnlyMany: "ROX",
  ReadWriteMany: "RWX",
  ReadWriteOncePod: "RWOP",
};
const reclaimPolicies = ["Delete", "Retain"];

export const persistentVolumeKind: Kind<PersistentVolume> = {
  resource: persistentvolumes,
  columns: [
    nameColumn,
    column("Capacity", "What it holds.", (volume) => String(volume.spec?.capacity?.["storage"] ?? "")),
    column("Access Modes", "How it may be mounted.", (volume) => accessModesText(volume.spec?.accessModes)),
    column(
      "Reclaim Policy",
      "What becomes of it when its claim goes.",
      (volume) => volume.spec?.persistentVolumeReclaimPolicy ?? "",
    ),
    column("Status", "Available, Bound, Released or Failed.", (volume) => volume.status?.phase ?? "Pending"),
    column("Claim", "The claim that has it.", ({ spec }) =>
      spec?.claimRef === undefined ? "" : `${spec.claimRef.namespace}/${spec.claimRef.name}`,
    ),
    column("StorageClass", "What made it.", (volume) => volume.spec?.storageClassName ?? ""),
    ageColumn,
    wide("VolumeMode", "Filesystem or Block.", (volume) => volume.spec?.volumeMode ?? "Filesystem"),
  ],
  selectableFields: {},
  defaults: (volume) => ({
    ...volume,
    spec: {
      ...volume.spec,
      persistentVolumeReclaimPolicy: volume.spec?.persistentVolumeReclaimPolicy ?? "Retain",
      volumeMode: volume.spec?.volumeMode ?? "Filesystem",
    },
  }),
  prepareCreate: (volume) => ({ ...volume, status: { phase: "Pending" } }),
  prepareUpdate: keepStatus,
  validate: (volume) => [
    ...validateMetadata(volume),
    ...accessModeErrors("spec.accessModes", volume.spec?.accessModes),
    ...(volume.spec?.capacity?.["storage"] === undefined ? [required("spec.capacity[storage]")] : []),
    ...policyErrors(volume.spec?.persistentVolumeReclaimPolicy),
    ...(volume.spec?.local !== undefined && volume.spec.nodeAffinity?.required === undefined
      ? [required("spec.nodeAffinity")]
      : []),
  ],
};

/** At least one, all known. */
export function accessModeErrors(path: string, modes: readonly string[] | undefined): readonly FieldError[] {
  if (modes === undefined || modes.length === 0) return [required(path)];
  return modes.flatMap((mode, i) =>
    Object.hasOwn(accessModes, mode) ? [] : [unsupported(`${path}[${i}]`, mode, Object.keys(accessModes))],
  );
}

/** "RWO,ROX" */
export function accessModesText(modes: readonly string[] | undefined): string {
  return (modes ?? []).map((mode) => accessModes[mode] ?? mode).join(",");
}

function policyErrors(policy: string | undefined): readonly FieldError[] {
  return policy === undefined || reclaimPolicies.includes(policy)
    ? []
    : [unsupported("spec.persistentVolumeReclaimPolicy", policy, reclaimPolicies)];
}
