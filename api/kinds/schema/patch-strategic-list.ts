// How a strategic merge patch changes one list: merge by key or as a set, delete, and put into order.
import { ApiError } from "../status.ts";
import { firstIndexes, inOrder, textOf } from "./list-order.ts";
import { isObject, type JsonObject } from "./schema.ts";

export interface ListPatch {
  readonly name: string;
  readonly elements: readonly unknown[];
  /** patchMergeKey; absent for lists of plain values, which merge as sets. */
  readonly key: string | undefined;
  /** $setElementOrder; keys only, or plain values. */
  readonly order: readonly unknown[] | undefined;
  /** $deleteFromPrimitiveList */
  readonly deleted: readonly unknown[];
  readonly mergeElement: (current: JsonObject, patch: JsonObject) => JsonObject;
}

export function mergeList(current: readonly unknown[], patch: ListPatch): readonly unknown[] {
  const { key } = patch;
  if (key === undefined) {
    const gone = new Set(patch.deleted.map(textOf));
    const kept = current.filter((value) => !gone.has(textOf(value)));
    const seen = new Set(kept.map(textOf));
    const added = patch.elements.filter((value) => seen.size < seen.add(textOf(value)).size);
    return inOrder([...kept, ...added], {
      order: patch.order ?? patch.elements,
      before: current,
      keyOf: (value) => value,
    });
  }
  const changes = patch.elements.filter((element) => isObject(element) && element["$patch"] === undefined);
  if (changes.length < patch.elements.length) {
    const directives = patch.elements.filter((element) => !isObject(element) || element["$patch"] !== undefined);
    if (directives.some((d) => isObject(d) && d["$patch"] === "replace")) return changes;
    const gone = new Set(directives.map((directive) => textOf(deletedKey(directive, patch.name, key))));
    const kept = current.filter((element) => !isObject(element) || !gone.has(textOf(element[key])));
    return mergeByKey(kept, current, changes, { ...patch, key });
  }
  return mergeByKey(current, current, changes, { ...patch, key });
}

function mergeByKey(
  kept: readonly unknown[],
  before: readonly unknown[],
  changes: readonly unknown[],
  patch: ListPatch & { readonly key: string },
): readonly unknown[] {
  const { key } = patch;
  const result = [...kept];
  const indexes = firstIndexes(kept.map((element) => (isObject(element) ? element[key] : element)));
  for (const change of changes) {
    if (!isObject(change)) continue;
    if (change[key] === undefined) throw refused(patch.name, `every element needs its key ${JSON.stringify(key)}`);
    const index = indexes.get(textOf(change[key])) ?? result.length;
    const old = result[index];
    result[index] = patch.mergeElement(isObject(old) ? old : {}, change);
    indexes.set(textOf(change[key]), index);
  }
  return inOrder(result, {
    order: patch.order ?? changes,
    before,
    keyOf: (element) => (isObject(element) ? element[key] : element),
  });
}

function deletedKey(directive: unknown, name: string, key: string): unknown {
  if (!isObject(directive)) throw refused(name, "its elements must be objects");
  if (directive["$patch"] !== "delete") {
    throw refused(name, `$patch of an element must be delete or replace, got ${JSON.stringify(directive["$patch"])}`);
  }
  if (directive[key] === undefined) throw refused(name, `$patch: delete needs the key ${JSON.stringify(key)}`);
  return directive[key];
}

function refused(name: string, detail: string): ApiError {
  return new ApiError("BadRequest", `strategic merge patch: ${name}: ${detail}`);
}
