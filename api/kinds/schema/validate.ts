// Checks a value against a schema and names every wrong field by its path.
import type { FieldError } from "../kind.ts";
import { invalid, required, unsupported, wrongType } from "./field-error.ts";
import { at, child, key } from "./path.ts";
import { zero } from "./prune.ts";
import { parseQuantity } from "./quantity.ts";
import { builtinSchemas, isObject, isQuantity, propertyOf, resolve, type Schema, type Schemas } from "./schema.ts";

const errorsMax = 100;

/**
 * Types, required fields, enums and formats of an object as it was parsed. A null counts as absent; unknown fields are prune's matter.
 * Fields below `status` are checked for their types only: their writers are components, which may send parts.
 */
export function validateSchema(
  typeName: string,
  value: unknown,
  schemas: Schemas = builtinSchemas,
): readonly FieldError[] {
  const pass: Pass = { schemas, errors: [], parts: false };
  check(pass, { ref: typeName }, value, "");
  return pass.errors;
}

interface Pass {
  readonly schemas: Schemas;
  readonly errors: FieldError[];
  /** Required fields may be missing. */
  readonly parts: boolean;
}

function check(pass: Pass, schema: Schema, value: unknown, path: string): void {
  if (value === undefined || value === null || pass.errors.length >= errorsMax) return;
  if (isQuantity(schema)) {
    checkQuantity(pass, value, path);
    return;
  }
  const resolved = resolve(schema, pass.schemas);
  if (resolved.properties !== undefined) {
    checkProperties(pass, resolved, value, path);
    return;
  }
  switch (resolved.type) {
    case undefined:
      return;
    case "object":
      checkMap(pass, resolved, value, path);
      return;
    case "array":
      checkArray(pass, resolved, value, path);
      return;
    default:
      checkScalar(pass, resolved, value, path);
  }
}

function checkProperties(pass: Pass, schema: Schema, value: unknown, path: string): void {
  if (!isObject(value)) {
    pass.errors.push(wrongType(path, value, "an object"));
    return;
  }
  if (!pass.parts) {
    for (const name of schema.required ?? []) {
      // Go clients write an empty list as null.
      const listed = propertyOf(schema, name)?.type === "array" && Object.hasOwn(value, name);
      if (!listed && (!Object.hasOwn(value, name) || value[name] === null || value[name] === undefined)) {
        pass.errors.push(required(child(path, name)));
      }
    }
  }
  for (const name of Object.keys(value)) {
    const property = propertyOf(schema, name);
    if (property === undefined) continue;
    const inside = path === "" && name === "status" ? { ...pass, parts: true } : pass;
    check(inside, property, value[name], child(path, name));
  }
}

function checkMap(pass: Pass, schema: Schema, value: unknown, path: string): void {
  if (!isObject(value)) {
    pass.errors.push(wrongType(path, value, "an object"));
    return;
  }
  if (schema.values === undefined) return;
  for (const name of Object.keys(value))
    check(pass, schema.values, value[name] ?? zero(schema.values, pass.schemas), key(path, name));
}

function checkArray(pass: Pass, schema: Schema, value: unknown, path: string): void {
  if (!Array.isArray(value)) {
    pass.errors.push(wrongType(path, value, "an array"));
    return;
  }
  const items = schema.items;
  if (items !== undefined)
    value.forEach((element, i) => void check(pass, items, element ?? zero(items, pass.schemas), at(path, i)));
}

function checkQuantity(pass: Pass, value: unknown, path: string): void {
  if (typeof value !== "string" && typeof value !== "number") {
    pass.errors.push(wrongType(path, value, 'a quantity, such as "250m" or "64Mi"'));
  } else if (parseQuantity(value) === undefined) {
    pass.errors.push(
      invalid(path, value, 'must be a number, with a suffix or without, such as "0.5", "250m" or "64Mi"'),
    );
  }
}

function checkScalar(pass: Pass, schema: Schema, value: unknown, path: string): void {
  const wanted = scalarComplaint(schema, value);
  if (wanted !== undefined) {
    pass.errors.push(wrongType(path, value, wanted));
    return;
  }
  const detail = formatComplaint(schema, value);
  if (detail !== undefined) pass.errors.push(invalid(path, value, detail));
  else if (schema.enum !== undefined && value !== "" && !schema.enum.includes(value)) {
    pass.errors.push(unsupported(path, value, schema.enum.map(String)));
  }
}

/** What it should have been, when the JSON type is another. */
function scalarComplaint(schema: Schema, value: unknown): string | undefined {
  if (schema.format === "int-or-string") {
    return typeof value === "string" || Number.isInteger(value) ? undefined : "an integer or a string";
  }
  switch (schema.type) {
    case "string":
      return typeof value === "string" ? undefined : "a string";
    case "boolean":
      return typeof value === "boolean" ? undefined : "true or false";
    case "integer":
      return Number.isInteger(value) ? undefined : "an integer";
    case "number":
      return typeof value === "number" ? undefined : "a number";
    default:
      return undefined;
  }
}

const int32Max = 2 ** 31 - 1;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const dateTime =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

function formatComplaint(schema: Schema, value: unknown): string | undefined {
  switch (schema.format) {
    case "int32":
      return typeof value === "number" && Math.abs(value) > int32Max ? `must fit into 32 bits` : undefined;
    case "int64":
      return Number.isSafeInteger(value) ? undefined : "must be an integer below 2^53";
    case "int-or-string":
      return typeof value === "number" && Math.abs(value) > int32Max ? "must fit into 32 bits" : undefined;
    case "byte":
      return base64.test(String(value).replaceAll(/[\r\n]/g, "")) ? undefined : "must be base64";
    case "date-time":
      return value === "" || dateTime.test(String(value))
        ? undefined
        : "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z";
    default:
      return undefined;
  }
}
