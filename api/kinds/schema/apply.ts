// Server-side apply: who owns which field, what an applied object changes, and who is in the way.
// Source: Kubernetes documentation, "Server-Side Apply"; sigs.k8s.io/structured-merge-diff.
import { builtinSchemas, type JsonObject, type Schemas } from "./schema.ts";

export interface Writer {
  /** fieldManager of the request. */
  readonly manager: string;
  readonly apiVersion: string;
  /** "status" when that subresource was written; absent for the main resource. */
  readonly subresource?: string;
  readonly nowMs: number;
}

/**
 * The object that results when `manager` applies `applied` over `live` (undefined: it is created), metadata.managedFields up to date.
 * Throws ApiError Conflict, one cause per field, when another manager owns a field with another value and `force` is not set.
 */
export function applyServerSide(
  options: {
    readonly typeName: string;
    readonly live: JsonObject | undefined;
    readonly applied: JsonObject;
    readonly writer: Writer;
    readonly force: boolean;
  },
  schemas: Schemas = builtinSchemas,
): JsonObject {
  throw new Error(`not done ${options} ${schemas}`);
}

/** After create, update or any other patch: `object` with managedFields that give `writer` what it changed from `live`. */
export function trackUpdate(
  options: {
    readonly typeName: string;
    readonly live: JsonObject | undefined;
    readonly object: JsonObject;
    readonly writer: Writer;
  },
  schemas: Schemas = builtinSchemas,
): JsonObject {
  throw new Error(`not done ${options} ${schemas}`);
}
