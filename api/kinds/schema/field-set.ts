// Sets of an object's fields, as trees: who manages what. Written as FieldsV1 in managedFields.
// Source: sigs.k8s.io/structured-merge-diff, fieldpath; Kubernetes documentation, "Server-Side Apply".
import { isObject, type JsonObject, propertyOf, resolve, type Schema, type Schemas, setKey } from "./schema.ts";

/** By path element: "f:name", `k:{"name":"a"}`, `v:"x"`. An empty tree is a field as a whole; "." the field itself beside its parts. */
export type Fields = ReadonlyMap<string, Fields>;

export const wholeField: Fields = new Map();

export interface Part {
  readonly value: unknown;
  readonly schema: Schema;
}

/** What a value consists of when its parts can be managed by themselves; undefined for a scalar, an atomic list or map. */
export function partsOf({ value, schema }: Part, schemas: Schemas): ReadonlyMap<string, Part> | undefined {
  const resolved = resolve(schema, schemas);
  if (isObject(value)) {
    const atomic = schema.mapType === "atomic" || resolved.mapType === "atomic";
    if (atomic || (resolved.properties === undefined && resolved.type !== "object")) return undefined;
    const names = Object.keys(value);
    return new Map(
      names.map((name) => [
        `f:${name}`,
        { value: value[name], schema: propertyOf(resolved, name) ?? resolved.values ?? {} },
      ]),
    );
  }
  if (!Array.isArray(value) || (schema.listType !== "map" && schema.listType !== "set")) return undefined;
  const items = schema.items ?? {};
  const parts = new Map(
    value.map((element) => [elementName(element, schema, schemas), { value: element, schema: items }]),
  );
  // Elements that share a key cannot be told apart: the list changes as a whole.
  return parts.size === value.length ? parts : undefined;
}

/** Puts parts together again, to a value of the form of `like`. */
export function joinParts(parts: ReadonlyMap<string, Part>, like: unknown): unknown {
  if (Array.isArray(like)) return [...parts.values()].map((part) => part.value);
  const result: Record<string, unknown> = {};
  for (const [element, part] of parts) setKey(result, element.slice(2), part.value);
  return result;
}

/** Every field that a value has. */
export function fieldsOf(part: Part, schemas: Schemas): Fields {
  const parts = partsOf(part, schemas);
  if (parts === undefined || parts.size === 0) return wholeField;
  return new Map([...parts].map(([element, child]) => [element, withItself(element, fieldsOf(child, schemas))]));
}

/** What changed from `old` to `now`: fields that are new or have another value, and fields that are gone. */
export function compareFields(
  old: Part,
  now: Part,
  schemas: Schemas,
): { readonly changed: Fields | undefined; readonly removed: Fields | undefined } {
  const [before, after] = [partsOf(old, schemas), partsOf(now, schemas)];
  if (before === undefined || after === undefined) {
    const same = JSON.stringify(ordered(old.value)) === JSON.stringify(ordered(now.value));
    return { changed: same ? undefined : fieldsOf(now, schemas), removed: undefined };
  }
  const changed = new Map<string, Fields>();
  const removed = new Map<string, Fields>();
  for (const [element, part] of after) {
    const had = before.get(element);
    if (had === undefined) {
      changed.set(element, addItself(fieldsOf(part, schemas)));
      continue;
    }
    const inside = compareFields(had, part, schemas);
    if (inside.changed !== undefined) changed.set(element, inside.changed);
    if (inside.removed !== undefined) removed.set(element, inside.removed);
  }
  for (const element of before.keys()) if (!after.has(element)) removed.set(element, wholeField);
  return { changed: changed.size === 0 ? undefined : changed, removed: removed.size === 0 ? undefined : removed };
}

export function union(a: Fields | undefined, b: Fields | undefined): Fields | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.size === 0) return addItself(b);
  if (b.size === 0) return addItself(a);
  const result = new Map(a);
  for (const [element, fields] of b) result.set(element, union(a.get(element), fields) ?? fields);
  return result;
}

/** Fields of `a` that `b` has too. */
export function intersection(a: Fields, b: Fields | undefined): Fields | undefined {
  if (b === undefined) return undefined;
  if (a.size === 0) return b.size === 0 || b.has(".") ? wholeField : undefined;
  if (b.size === 0) return a.has(".") ? wholeField : undefined;
  const result = new Map<string, Fields>();
  for (const [element, fields] of a) {
    const common = intersection(fields, b.get(element));
    if (common !== undefined) result.set(element, common);
  }
  return result.size === 0 ? undefined : result;
}

/** Fields of `a` but those of `b`; what `b` has as a whole goes with all its parts. */
export function difference(a: Fields, b: Fields | undefined): Fields | undefined {
  if (b === undefined) return a;
  if (b.size === 0 || a.size === 0) return b.size === 0 || b.has(".") ? undefined : a;
  const result = new Map<string, Fields>();
  for (const [element, fields] of a) {
    const left = difference(fields, b.get(element));
    if (left !== undefined) result.set(element, left);
  }
  return result.size === 0 ? undefined : result;
}

export function toFieldsV1(fields: Fields): JsonObject {
  return Object.fromEntries(
    [...fields].sort(([a], [b]) => (a < b ? -1 : 1)).map(([element, inside]) => [element, toFieldsV1(inside)]),
  );
}

export function fromFieldsV1(value: unknown): Fields {
  return isObject(value)
    ? new Map(Object.entries(value).map(([element, inside]) => [element, fromFieldsV1(inside)]))
    : wholeField;
}

/** `.spec.containers[name="a"].image`, one line per field. */
export function pathsOfFields(fields: Fields, path = ""): readonly string[] {
  if (fields.size === 0) return [path];
  return [...fields].flatMap(([element, inside]) =>
    element === "." ? [path] : pathsOfFields(inside, `${path}${pathText(element)}`),
  );
}

function pathText(element: string): string {
  const text = element.slice(2);
  if (element.startsWith("f:")) return `.${text}`;
  if (!element.startsWith("k:")) return `[=${text}]`;
  const keys = Object.entries(JSON.parse(text)).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `[${keys.join(",")}]`;
}

/** Elements of a list belong to their manager as such. */
function withItself(element: string, fields: Fields): Fields {
  return element.startsWith("f:") ? fields : addItself(fields);
}

function addItself(fields: Fields): Fields {
  return fields.size === 0 || fields.has(".") ? fields : new Map([[".", wholeField], ...fields]);
}

function elementName(element: unknown, schema: Schema, schemas: Schemas): string {
  if (schema.listType === "set" || !isObject(element)) return `v:${JSON.stringify(element)}`;
  const item = resolve(schema.items ?? {}, schemas);
  const keys = [...(schema.listMapKeys ?? [])].sort().flatMap((name) => {
    const value = element[name] ?? propertyOf(item, name)?.default;
    return value === undefined ? [] : [[name, value]];
  });
  return `k:${JSON.stringify(Object.fromEntries(keys))}`;
}

/** Members in order, so that equal values print equally. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, ordered(value[name])]),
  );
}
