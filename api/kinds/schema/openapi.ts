// Prints the schemas and the served kinds as OpenAPI documents, as kubectl reads them for validation and explain.
import type { Resource } from "../resource.ts";
import { builtinSchemas, type JsonObject, type Schemas } from "./schema.ts";

/** The document at /openapi/v2. */
export function openapiV2(resources: readonly Resource[], schemas: Schemas = builtinSchemas): JsonObject {
  throw new Error(`not done ${resources} ${schemas}`);
}

/** The document at /openapi/v3/<path>, for "api/v1" or "apis/apps/v1": the resources of that group and version only. */
export function openapiV3(path: string, resources: readonly Resource[], schemas: Schemas = builtinSchemas): JsonObject {
  throw new Error(`not done ${path} ${resources} ${schemas}`);
}

/** The paths of openapiV3 that those resources need: "api/v1", "apis/apps/v1", … */
export function openapiV3Paths(resources: readonly Resource[]): readonly string[] {
  throw new Error(`not done ${resources}`);
}
