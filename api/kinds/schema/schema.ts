// The schema language of everything that the API stores: Kubernetes' OpenAPI schemas as bare facts, built-in or of a CRD.
import builtin from "../generated/schemas.json" with { type: "json" };

export interface Schema {
  /** Absent (with `ref` absent too): anything goes and nothing below is pruned. */
  readonly type?: string;
  readonly format?: string;
  /** Name of another type in the same `Schemas`. */
  readonly ref?: string;
  /** Elements of an array. */
  readonly items?: Schema;
  /** Values of a map. */
  readonly values?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly listType?: string;
  readonly listMapKeys?: readonly string[];
  readonly mapType?: string;
  /** "merge", "replace", "retainKeys", comma-separated. */
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
  /** "apps/v1/Deployment" */
  readonly gvk?: readonly string[];
}

/** Types by their full names. */
export type Schemas = Readonly<Record<string, Schema>>;

export const builtinSchemas: Schemas = builtin as Schemas;

/** What a JSON object is in memory. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The schema with that name; types that nobody described accept anything. */
export function schemaOf(typeName: string, schemas: Schemas): Schema {
  return schemas[typeName] ?? {};
}

/** Follows `ref`, keeping the list and patch keys that stand beside it. */
export function resolve(schema: Schema, schemas: Schemas): Schema {
  return schema.ref === undefined ? schema : schemaOf(schema.ref, schemas);
}

/** The schema of one property; undefined for one that the type does not have. */
export function propertyOf(schema: Schema, name: string): Schema | undefined {
  return schema.properties !== undefined && Object.hasOwn(schema.properties, name)
    ? schema.properties[name]
    : undefined;
}

/** Anything goes: the value is neither checked nor pruned. */
export function isOpen(schema: Schema): boolean {
  return schema.type === undefined && schema.properties === undefined && schema.ref === undefined;
}

/** Sets a key that a stranger may have chosen: "__proto__" is a key like any other. */
export function setKey(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** An own property; what the prototype has does not count. */
export function getKey(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

const quantityType = "io.k8s.apimachinery.pkg.api.resource.Quantity";

export function isQuantity(schema: Schema): boolean {
  return schema.ref === quantityType || schema.format === "quantity";
}
