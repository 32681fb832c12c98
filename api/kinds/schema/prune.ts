// Brings a parsed object into the form that is stored: unknown fields out, nulls out, quantities canonical.
import { at, child } from "./path.ts";
import { canonicalQuantity } from "./quantity.ts";
import {
  builtinSchemas,
  isObject,
  isOpen,
  isQuantity,
  type JsonObject,
  propertyOf,
  resolve,
  type Schema,
  type Schemas,
  setKey,
} from "./schema.ts";

export interface Pruned {
  readonly object: JsonObject;
  /** Messages in kubectl's form: `unknown field "spec.foo"`. */
  readonly unknown: readonly string[];
}

const unknownMax = 100;

/** `value` has passed validateSchema. Fields without a type (RawExtension, FieldsV1) are kept as they are. */
export function prune(typeName: string, value: JsonObject, schemas: Schemas = builtinSchemas): Pruned {
  const unknown: string[] = [];
  const object = pruned({ schemas, unknown }, { ref: typeName }, value, "");
  return { object: isObject(object) ? object : {}, unknown };
}

interface Pass {
  readonly schemas: Schemas;
  readonly unknown: string[];
}

function pruned(pass: Pass, schema: Schema, value: unknown, path: string): unknown {
  if (isQuantity(schema)) {
    return typeof value === "string" || typeof value === "number" ? canonicalQuantity(value) : value;
  }
  const resolved = resolve(schema, pass.schemas);
  if (isOpen(resolved)) return value;
  if (resolved.properties !== undefined) return isObject(value) ? prunedObject(pass, resolved, value, path) : value;
  if (resolved.type === "object") return isObject(value) ? prunedMap(pass, resolved, value, path) : value;
  if (resolved.type === "array" && Array.isArray(value)) {
    const items = resolved.items ?? {};
    return value.map((element, i) => pruned(pass, items, element ?? zero(items, pass.schemas), at(path, i)));
  }
  return value;
}

function prunedObject(pass: Pass, schema: Schema, value: JsonObject, path: string): JsonObject {
  const result: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    const property = propertyOf(schema, name);
    if (property === undefined) {
      if (pass.unknown.length < unknownMax) pass.unknown.push(`unknown field ${JSON.stringify(child(path, name))}`);
      continue;
    }
    const present = value[name];
    if (present !== null && present !== undefined) result[name] = pruned(pass, property, present, child(path, name));
    else if (property.type === "array" && schema.required?.includes(name) === true) result[name] = []; // Go's empty list.
  }
  return result;
}

function prunedMap(pass: Pass, schema: Schema, value: JsonObject, path: string): JsonObject {
  const values = schema.values ?? {};
  const result: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    setKey(result, name, pruned(pass, values, value[name] ?? zero(values, pass.schemas), child(path, name)));
  }
  return result;
}

/** What a null means where something must stand: in a list or a map. */
export function zero(schema: Schema, schemas: Schemas): unknown {
  if (isQuantity(schema)) return "0";
  const resolved = resolve(schema, schemas);
  if (resolved.properties !== undefined) return {};
  switch (resolved.type) {
    case "string":
      return "";
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return null;
  }
}
