// One entrance to the three kinds of patch that take an object and give another; server-side apply is in apply.ts.
import { builtinSchemas, type JsonObject, type Schemas } from "./schema.ts";

export type PatchType = "merge" | "json" | "strategic";

/** "application/merge-patch+json" and its like, to the patch's type; "apply" is server-side apply's. */
export const patchTypes: Readonly<Record<string, PatchType | "apply">> = {
  "application/merge-patch+json": "merge",
  "application/json-patch+json": "json",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
  "application/apply-patch+json": "apply",
};

/** Refuses with ApiError: BadRequest for a body that is no patch, Invalid for one that does not fit the object. */
export function applyPatch(
  type: PatchType,
  typeName: string,
  object: JsonObject,
  body: unknown,
  schemas: Schemas = builtinSchemas,
): JsonObject {
  throw new Error(`not done ${type} ${typeName} ${object} ${body} ${schemas}`);
}
