// Fills in the defaults that stand in a schema; those that depend on other fields are in the kinds' files.
import { builtinSchemas, isObject, type JsonObject, resolve, type Schema, type Schemas, setKey } from "./schema.ts";

/** A new object with the schema's defaults wherever their parent is present; parts without any are shared with `object`. */
export function schemaDefaults(typeName: string, object: JsonObject, schemas: Schemas = builtinSchemas): JsonObject {
  const result = filled({ ref: typeName }, object, schemas);
  return isObject(result) ? result : object;
}

function filled(schema: Schema, value: unknown, schemas: Schemas): unknown {
  const resolved = resolve(schema, schemas);
  if (!hasDefaults(resolved, schemas)) return value;
  if (Array.isArray(value)) return value.map((element) => filled(resolved.items ?? {}, element, schemas));
  if (!isObject(value)) return value;
  const result: Record<string, unknown> = { ...value };
  if (resolved.properties === undefined) {
    for (const name of Object.keys(value)) setKey(result, name, filled(resolved.values ?? {}, value[name], schemas));
    return result;
  }
  for (const [name, property] of Object.entries(resolved.properties)) {
    if (!Object.hasOwn(value, name)) {
      if (property.default !== undefined) result[name] = filled(property, structuredClone(property.default), schemas);
    } else if (value[name] === "" && property.default !== undefined) {
      result[name] = property.default;
    } else {
      result[name] = filled(property, value[name], schemas);
    }
  }
  return result;
}

// Most types hold no default anywhere below: knowing that once saves walking every status.
const known = new WeakMap<Schema, boolean>();

function hasDefaults(schema: Schema, schemas: Schemas): boolean {
  const answer = known.get(schema);
  if (answer !== undefined) return answer;
  known.set(schema, false); // A type that contains itself adds nothing by that.
  const parts = [...Object.values(schema.properties ?? {}), schema.items, schema.values].filter((p) => p !== undefined);
  const found = parts.some((part) => part.default !== undefined || hasDefaults(resolve(part, schemas), schemas));
  known.set(schema, found);
  return found;
}
