// Checks a value against a schema and names every wrong field by its path.
import type { FieldError } from "../kind.ts";
import { builtinSchemas, type Schemas } from "./schema.ts";

/**
 * Types, required fields, enums and formats of an object as it was parsed. A null counts as absent; unknown fields are prune's matter.
 * Fields below `status` are checked for their types only: their writers are components, which may send parts.
 */
export function validateSchema(
  typeName: string,
  value: unknown,
  schemas: Schemas = builtinSchemas,
): readonly FieldError[] {
  throw new Error(`not done ${typeName} ${value} ${schemas}`);
}
