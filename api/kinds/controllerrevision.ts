// What a ControllerRevision does beyond its schema: an earlier template of a DaemonSet or StatefulSet, to go back to.
import { ageColumn, column, nameColumn, numberColumn } from "./columns.ts";
import { controllerrevisions } from "./generated/resources.ts";
import type { ControllerRevision } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { controllerOf } from "./owners.ts";
import { atLeast } from "./pod-validate.ts";
import { immutable } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";

export const controllerRevisionKind: Kind<ControllerRevision> = {
  resource: controllerrevisions,
  columns: [
    nameColumn,
    column("Controller", "Whose template it is.", (revision) => {
      const owner = controllerOf(revision);
      if (owner === undefined) return "<none>";
      const group = owner.apiVersion.includes("/") ? `.${owner.apiVersion.split("/")[0]}` : "";
      return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
    }),
    numberColumn("Revision", "Grows with each change of the template.", (revision) => revision.revision),
    ageColumn,
  ],
  selectableFields: {},
  validate: (revision) => [...validateMetadata(revision), ...atLeast("revision", revision.revision, 0)],
  validateUpdate: (revision, old) => (equal(revision.data, old.data) ? [] : [immutable("data", revision.data)]),
};
