// Field selectors: "status.phase!=Running,spec.nodeName=a", over the fields that a kind lets select.
import type { KubeObject } from "../resource.ts";
import { ApiError } from "../status.ts";

export interface FieldRequirement {
  readonly field: string;
  readonly equal: boolean;
  readonly value: string;
}

/** Refuses with ApiError BadRequest. A backslash escapes `,` `=` and itself. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  return (text.match(/(?:\\.|[^,\\])+/g) ?? []).map((term) => {
    const match = /^\s*([A-Za-z0-9_./[\]-]+?)\s*(==|!=|=)((?:\\.|[^=\\])*)$/.exec(term);
    if (match === null) {
      throw new ApiError(
        "BadRequest",
        `invalid field selector ${JSON.stringify(text)}: cannot understand ${JSON.stringify(term)}`,
      );
    }
    return {
      field: match[1] ?? "",
      equal: match[2] !== "!=",
      value: (match[3] ?? "").replaceAll(/\\(.)/g, "$1").trim(),
    };
  });
}

/**
 * A predicate over objects: `fields` are the kind's selectableFields; metadata.name and metadata.namespace are always there.
 * Refuses with ApiError BadRequest when a field is none of them.
 */
export function fieldMatcher<T extends KubeObject>(
  requirements: readonly FieldRequirement[],
  fields: Readonly<Record<string, (object: T) => string>>,
): (object: T) => boolean {
  const checks = requirements.map(({ field, equal, value }) => {
    const read = Object.hasOwn(metadataFields, field)
      ? metadataFields[field]
      : Object.hasOwn(fields, field)
        ? fields[field]
        : undefined;
    if (read === undefined) {
      const known = [...Object.keys(metadataFields), ...Object.keys(fields)].join(", ");
      throw new ApiError("BadRequest", `field label not supported: ${field} (this kind selects by ${known})`);
    }
    return (object: T) => (read(object) === value) === equal;
  });
  return (object) => checks.every((check) => check(object));
}

const metadataFields: Readonly<Record<string, (object: KubeObject) => string>> = {
  "metadata.name": (object) => object.metadata?.name ?? "",
  "metadata.namespace": (object) => object.metadata?.namespace ?? "",
};
