// Kubernetes' strategic merge patch: lists of objects merge by key, and directives say what a merge cannot.
// Source: Kubernetes contributor documentation, "Strategic Merge Patch".
import { ApiError } from "../status.ts";
import { equal } from "./patch-json.ts";
import { type ListPatch, mergeList } from "./patch-strategic-list.ts";
import { getKey, isObject, type JsonObject, propertyOf, resolve, type Schema, type Schemas, setKey } from "./schema.ts";

const setOrder = "$setElementOrder/";
const deleteFromList = "$deleteFromPrimitiveList/";

/** A new object; `schema` is that of the object. Refuses with ApiError BadRequest when a directive is none. */
export function strategicPatch(object: JsonObject, patch: JsonObject, schema: Schema, schemas: Schemas): JsonObject {
  const directive = patch["$patch"];
  switch (directive) {
    case undefined:
    case "merge":
      break;
    case "replace":
      return withoutDirectives(patch) as JsonObject;
    case "delete":
      return {};
    default:
      throw badPatch(`$patch must be replace, delete or merge, got ${JSON.stringify(directive)}`);
  }
  const result: Record<string, unknown> = { ...retained(object, patch) };
  for (const name of Object.keys(patch)) {
    if (isDirective(name)) continue;
    if (patch[name] === null) delete result[name];
    else
      setKey(
        result,
        name,
        merged(getKey(result, name), patch[name], { name, patch, schema: fieldSchema(schema, name, schemas), schemas }),
      );
  }
  for (const name of namesOfListDirectives(patch)) {
    const current = getKey(result, name);
    if (!Object.hasOwn(patch, name) && Array.isArray(current)) {
      setKey(
        result,
        name,
        mergeList(current, listPatch([], { name, patch, schema: fieldSchema(schema, name, schemas), schemas })),
      );
    }
  }
  return result;
}

interface Field {
  readonly name: string;
  /** The patch that the field stands in, with the directives about it. */
  readonly patch: JsonObject;
  readonly schema: Schema;
  readonly schemas: Schemas;
}

function merged(current: unknown, value: unknown, field: Field): unknown {
  const strategies = (field.schema.patchStrategy ?? "").split(",");
  if (isObject(value)) {
    if (strategies.includes("replace")) return withoutDirectives(value);
    const target = resolve(field.schema, field.schemas);
    return strategicPatch(isObject(current) ? current : {}, value, target, field.schemas);
  }
  if (!Array.isArray(value) || !strategies.includes("merge")) return withoutDirectives(value);
  return mergeList(Array.isArray(current) ? current : [], listPatch(value, field));
}

function listPatch(elements: readonly unknown[], { name, patch, schema, schemas }: Field): ListPatch {
  const element = resolve(schema.items ?? {}, schemas);
  return {
    name,
    elements,
    key: schema.patchMergeKey,
    order: directiveList(patch, `${setOrder}${name}`),
    deleted: directiveList(patch, `${deleteFromList}${name}`) ?? [],
    mergeElement: (current, value) => strategicPatch(current, value, element, schemas),
  };
}

/** What is known of a field: of a map's values it is the same for all names. */
function fieldSchema(schema: Schema, name: string, schemas: Schemas): Schema {
  const resolved = resolve(schema, schemas);
  return propertyOf(resolved, name) ?? resolved.values ?? {};
}

function directiveList(patch: JsonObject, name: string): readonly unknown[] | undefined {
  const list = getKey(patch, name);
  if (list === undefined) return undefined;
  if (!Array.isArray(list)) throw badPatch(`${name} must be a list`);
  return list;
}

/** $retainKeys: what it does not name goes; what the patch sets it must name. */
function retained(object: JsonObject, patch: JsonObject): JsonObject {
  const keys = directiveList(patch, "$retainKeys");
  if (keys === undefined) return object;
  const missing = Object.keys(patch).find((name) => !isDirective(name) && patch[name] !== null && !keys.includes(name));
  if (missing !== undefined) throw badPatch(`$retainKeys must name ${JSON.stringify(missing)}, which the patch sets`);
  return Object.fromEntries(Object.entries(object).filter(([name]) => keys.includes(name)));
}

function namesOfListDirectives(patch: JsonObject): readonly string[] {
  return Object.keys(patch).flatMap((name) =>
    [setOrder, deleteFromList].filter((prefix) => name.startsWith(prefix)).map((prefix) => name.slice(prefix.length)),
  );
}

function isDirective(name: string): boolean {
  return name === "$patch" || name === "$retainKeys" || name.startsWith(setOrder) || name.startsWith(deleteFromList);
}

/** A value that is taken as it is: directives and nulls that stand in it mean nothing any more. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((element) => !equal(Object.keys(isObject(element) ? element : {}), ["$patch"]))
      .map(withoutDirectives);
  }
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, child]) => !isDirective(name) && child !== null);
  return Object.fromEntries(kept.map(([name, child]) => [name, withoutDirectives(child)]));
}

function badPatch(detail: string): ApiError {
  return new ApiError("BadRequest", `strategic merge patch: ${detail}`);
}
