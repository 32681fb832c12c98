// What a ConfigMap does beyond its schema.
import { ageColumn, nameColumn, numberColumn } from "./columns.ts";
import { base64Bytes, dataErrors, frozenErrors, textBytes } from "./config-data.ts";
import { configmaps } from "./generated/resources.ts";
import type { ConfigMap } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { invalid } from "./schema/field-error.ts";
import { equal } from "./schema/patch-json.ts";
import { key } from "./schema/path.ts";

export const configmapKind: Kind<ConfigMap> = {
  resource: configmaps,
  columns: [
    nameColumn,
    numberColumn(
      "Data",
      "How many entries it has.",
      ({ data, binaryData }) => Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length,
    ),
    ageColumn,
  ],
  selectableFields: {},
  validate: (map) => [
    ...validateMetadata(map),
    ...dataErrors({ data: map.data, binaryData: map.binaryData }, (field, value) =>
      field === "data" ? textBytes(value) : base64Bytes(value),
    ),
    ...inBoth(map),
  ],
  validateUpdate: (map, old) =>
    frozenErrors({ immutable: map.immutable }, { immutable: old.immutable }, (field) =>
      equal(field === "data" ? map.data : map.binaryData, field === "data" ? old.data : old.binaryData),
    ),
};

function inBoth({ data = {}, binaryData = {} }: ConfigMap): readonly FieldError[] {
  return Object.keys(binaryData)
    .filter((name) => Object.hasOwn(data, name))
    .map((name) => invalid(key("data", name), name, "is in binaryData too"));
}
