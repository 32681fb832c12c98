// From what a client sent to an object of the kind: checked against the schema, pruned, with defaults.
import type { Kind } from "../kinds/kind.ts";
import { apiVersionOf, type KubeObject } from "../kinds/resource.ts";
import { schemaDefaults } from "../kinds/schema/defaults.ts";
import { invalidObject } from "../kinds/schema/field-error.ts";
import { prune } from "../kinds/schema/prune.ts";
import { isObject } from "../kinds/schema/schema.ts";
import { unsupportedIn } from "../kinds/schema/unsupported.ts";
import { validateSchema } from "../kinds/schema/validate.ts";
import { ApiError } from "../kinds/status.ts";
import type { Change } from "./change.ts";
import type { WriteOptions } from "./context.ts";

export interface Decoding {
  readonly write: WriteOptions;
  /** From the path; the body may leave them out but not contradict. */
  readonly namespace?: string;
  readonly name?: string;
  /** What is read of the object: of a status nothing else, so a required spec may be absent. */
  readonly part?: Change["part"];
}

/** Refuses with BadRequest (not this kind, contradicts the path, strict validation) or Invalid (fields of wrong type). */
export function decodeObject(kind: Kind, body: unknown, decoding: Decoding): KubeObject {
  if (!isObject(body))
    throw new ApiError("BadRequest", `the body must be one ${kind.resource.kind} as a JSON or YAML object`);
  checkKind(kind, body);
  const type = kind.resource.type;
  const errors = validateSchema(type, body).filter(
    ({ type, field }) => !(decoding.part === "status" && type === "required" && field === "spec"),
  );
  if (errors.length > 0) throw invalidObject(kind.resource, nameIn(body) ?? decoding.name ?? "", errors);
  const { object, unknown } = prune(type, body);
  report(decoding.write, unknown);
  const addressed = address(kind, object as KubeObject, decoding);
  const filled = schemaDefaults(type, addressed as Readonly<Record<string, unknown>>) as KubeObject;
  return kind.defaults === undefined ? filled : kind.defaults(filled);
}

/** Tells of fields that Naru does not act on; under strict validation they are refused. */
export function reportUnsupported(kind: Kind, object: KubeObject, write: WriteOptions): void {
  if (kind.unsupportedFields === undefined || write.fieldValidation === "Ignore") return;
  const paths = unsupportedIn(object, kind.unsupportedFields);
  report(
    write,
    paths.map((path) => `field ${JSON.stringify(path)} is accepted but has no effect yet`),
  );
}

function report(write: WriteOptions, messages: readonly string[]): void {
  if (messages.length === 0) return;
  switch (write.fieldValidation ?? "Warn") {
    case "Ignore":
      return;
    case "Warn":
      for (const message of messages) write.warn?.(message);
      return;
    case "Strict":
      throw new ApiError("BadRequest", `strict decoding error: ${messages.join(", ")}`);
  }
}

function checkKind({ resource }: Kind, body: Readonly<Record<string, unknown>>): void {
  const { apiVersion, kind } = body;
  const wanted = apiVersionOf(resource);
  if (apiVersion !== undefined && apiVersion !== "" && apiVersion !== wanted) {
    throw new ApiError(
      "BadRequest",
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${wanted})`,
    );
  }
  if (kind !== undefined && kind !== "" && kind !== resource.kind) {
    throw new ApiError(
      "BadRequest",
      `the kind in the data (${String(kind)}) does not match the expected kind (${resource.kind})`,
    );
  }
}

/** The object with its kind spelled out and the names that the path gives. */
function address({ resource }: Kind, object: KubeObject, { namespace, name }: Decoding): KubeObject {
  const meta = object.metadata ?? {};
  if (resource.namespaced && meta.namespace !== undefined && meta.namespace !== "" && meta.namespace !== namespace) {
    throw new ApiError(
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
    );
  }
  if (name !== undefined && meta.name !== undefined && meta.name !== "" && meta.name !== name) {
    throw new ApiError(
      "BadRequest",
      `the name of the object (${meta.name}) does not match the name on the URL (${name})`,
    );
  }
  const { namespace: _, ...plain } = meta;
  return {
    ...object,
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: {
      ...plain,
      ...(resource.namespaced && namespace !== undefined ? { namespace } : {}),
      ...(name === undefined ? {} : { name }),
    },
  };
}

function nameIn(body: Readonly<Record<string, unknown>>): string | undefined {
  const meta = body["metadata"];
  const name = isObject(meta) ? meta["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}
