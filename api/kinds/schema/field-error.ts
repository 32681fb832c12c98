// Field errors in Kubernetes' words, and the one answer that carries them all.
import type { FieldError } from "../kind.ts";
import type { Resource } from "../resource.ts";
import { ApiError } from "../status.ts";

export function required(field: string, detail = ""): FieldError {
  return { field, type: "required", message: detail === "" ? "Required value" : `Required value: ${detail}` };
}

export function invalid(field: string, value: unknown, detail: string): FieldError {
  return { field, type: "invalid", message: `Invalid value: ${show(value)}: ${detail}` };
}

/** The value has another JSON type than the schema's. */
export function wrongType(field: string, value: unknown, wanted: string): FieldError {
  return { field, type: "type", message: `Invalid value: ${show(value)}: must be ${wanted}, got ${nameOfType(value)}` };
}

export function unsupported(field: string, value: unknown, allowed: readonly string[]): FieldError {
  const values = allowed.map((v) => JSON.stringify(v)).join(", ");
  return { field, type: "unsupported", message: `Unsupported value: ${show(value)}: supported values: ${values}` };
}

/** Complains of a value that is set and none of those. */
export function oneOf(field: string, value: string | undefined, allowed: readonly string[]): readonly FieldError[] {
  return value === undefined || allowed.includes(value) ? [] : [unsupported(field, value, allowed)];
}

export function duplicate(field: string, value: unknown): FieldError {
  return { field, type: "duplicate", message: `Duplicate value: ${show(value)}` };
}

export function forbidden(field: string, detail: string): FieldError {
  return { field, type: "forbidden", message: `Forbidden: ${detail}` };
}

export function immutable(field: string, value: unknown): FieldError {
  return { field, type: "immutable", message: `Invalid value: ${show(value)}: field is immutable` };
}

export function tooLong(field: string, maxBytes: number): FieldError {
  return { field, type: "tooLong", message: `Too long: may not be more than ${maxBytes} bytes` };
}

const causeReasons: Readonly<Record<FieldError["type"], string>> = {
  required: "FieldValueRequired",
  invalid: "FieldValueInvalid",
  unsupported: "FieldValueNotSupported",
  duplicate: "FieldValueDuplicate",
  forbidden: "FieldValueForbidden",
  immutable: "FieldValueInvalid",
  tooLong: "FieldValueTooLong",
  tooMany: "FieldValueTooMany",
  unknown: "FieldValueInvalid",
  type: "FieldValueTypeInvalid",
};

/** The 422 that Kubernetes answers: `Deployment.apps "web" is invalid: spec.replicas: …`. */
export function invalidObject(
  resource: Pick<Resource, "group" | "kind">,
  name: string,
  errors: readonly FieldError[],
): ApiError {
  const lines = errors.map((e) => `${e.field}: ${e.message}`);
  const kind = resource.group === "" ? resource.kind : `${resource.kind}.${resource.group}`;
  const detail = lines.length === 1 ? lines[0] : `[${lines.join(", ")}]`;
  return new ApiError("Invalid", `${kind} ${JSON.stringify(name)} is invalid: ${detail}`, {
    details: {
      name,
      ...(resource.group === "" ? {} : { group: resource.group }),
      kind: resource.kind,
      causes: errors.map((e) => ({ reason: causeReasons[e.type], message: e.message, field: e.field })),
    },
  });
}

const shownCharsMax = 200;

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.length <= shownCharsMax ? text : `${text.slice(0, shownCharsMax)}…`;
}

function nameOfType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "object":
      return "an object";
    case "number":
      return Number.isInteger(value) ? "an integer" : "a number";
    default:
      return `a ${typeof value}`;
  }
}
