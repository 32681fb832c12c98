// One entrance to the three kinds of patch that take an object and give another; server-side apply is in apply.ts.
import { ApiError } from "../status.ts";
import { jsonPatch } from "./patch-json.ts";
import { mergePatch } from "./patch-merge.ts";
import { strategicPatch } from "./patch-strategic.ts";
import { builtinSchemas, isObject, type JsonObject, type Schemas } from "./schema.ts";

export type PatchType = "merge" | "json" | "strategic";

/** "application/merge-patch+json" and its like, to the patch's type; "apply" is server-side apply's. */
export const patchTypes: Readonly<Record<string, PatchType | "apply">> = {
  "application/merge-patch+json": "merge",
  "application/json-patch+json": "json",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
  "application/apply-patch+json": "apply",
};

const depthMax = 200;

/** Refuses with ApiError: BadRequest for a body that is no patch, Invalid for one that does not fit the object. */
export function applyPatch(
  type: PatchType,
  typeName: string,
  object: JsonObject,
  body: unknown,
  schemas: Schemas = builtinSchemas,
): JsonObject {
  if (isDeeper(body, depthMax)) throw new ApiError("BadRequest", `a patch may be ${depthMax} levels deep`);
  const result = patched(type, typeName, object, body, schemas);
  if (isDeeper(result, depthMax)) throw new ApiError("Invalid", `an object may be ${depthMax} levels deep`);
  if (!isObject(result)) throw new ApiError("Invalid", "the patch leaves no object");
  return result;
}

function patched(type: PatchType, typeName: string, object: JsonObject, body: unknown, schemas: Schemas): unknown {
  if (type === "json") return jsonPatch(object, body);
  if (!isObject(body)) throw new ApiError("BadRequest", "the patch must be a JSON object");
  return type === "merge" ? mergePatch(object, body) : strategicPatch(object, body, { ref: typeName }, schemas);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((child) => isDeeper(child, levels - 1));
}
