// The OpenAPI v2 document in gnostic's protobuf form, which kubectl up to 1.2x asks for.
import type { JsonObject } from "./schema.ts";

export const openapiV2ProtoTypes = [
  "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
  "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
] as const;

export function encodeOpenapiV2(document: JsonObject): Uint8Array {
  throw new Error(`not done ${document}`);
}
