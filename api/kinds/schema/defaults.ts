// Fills in the defaults that stand in a schema; those that depend on other fields are in the kinds' files.
import { builtinSchemas, type JsonObject, type Schemas } from "./schema.ts";

/** A new object with the schema's defaults wherever their parent is present. */
export function schemaDefaults(typeName: string, object: JsonObject, schemas: Schemas = builtinSchemas): JsonObject {
  throw new Error(`not done ${typeName} ${object} ${schemas}`);
}
