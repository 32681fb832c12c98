// What a StorageClass does beyond its schema.
import { ageColumn, column, nameColumn } from "./columns.ts";
import { storageclasses } from "./generated/resources.ts";
import type { StorageClass } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";

/** The class of claims that name none. */
export const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class";

export const storageClassKind: Kind<StorageClass> = {
  resource: storageclasses,
  columns: [
    {
      ...nameColumn,
      cell: ({ metadata }) =>
        metadata?.annotations?.[defaultClassAnnotation] === "true"
          ? `${metadata.name} (default)`
          : (metadata?.name ?? ""),
    },
    column("Provisioner", "Who makes volumes of it.", (storageClass) => storageClass.provisioner ?? ""),
    column(
      "ReclaimPolicy",
      "What becomes of a volume when its claim goes.",
      (storageClass) => storageClass.reclaimPolicy ?? "",
    ),
    column("VolumeBindingMode", "When a volume is made.", (storageClass) => storageClass.volumeBindingMode ?? ""),
    ageColumn,
  ],
  selectableFields: {},
  defaults: (storageClass) => ({
    ...storageClass,
    reclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
    volumeBindingMode: storageClass.volumeBindingMode ?? "Immediate",
  }),
  validate: (storageClass) => validateMetadata(storageClass),
};
