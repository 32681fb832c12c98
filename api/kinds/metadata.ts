// Rules of metadata, the same for every kind but for what its names may look like.
import type { FieldError } from "./kind.ts";
import type { KubeObject } from "./resource.ts";
import { duplicate, invalid, required } from "./schema/field-error.ts";
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";

export type NameRule = (text: string) => readonly string[];

const annotationBytesMax = 256 * 1024;

/** Name (or the prefix of a generated one), namespace, labels, annotations, owners, finalizers. */
export function validateMetadata(object: KubeObject, nameRule: NameRule = dns1123Subdomain): readonly FieldError[] {
  const meta = object.metadata ?? {};
  return [
    ...nameErrors(meta.name, meta.generateName, nameRule),
    ...(meta.namespace ? complaints("metadata.namespace", meta.namespace, dns1123Label) : []),
    ...validateLabels("metadata.labels", meta.labels),
    ...annotationErrors(meta.annotations ?? {}),
    ...(meta.finalizers ?? []).flatMap((name, i) => complaints(at("metadata.finalizers", i), name, qualifiedName)),
    ...ownerErrors(object),
  ];
}

export function validateLabels(
  path: string,
  labels: Readonly<Record<string, string>> | undefined,
): readonly FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([name, value]) => [
    ...complaints(path, name, qualifiedName),
    ...complaints(path, value, labelValue),
  ]);
}

/** One error per complaint of the rule. */
export function complaints(path: string, text: string, rule: NameRule): readonly FieldError[] {
  return rule(text).map((complaint) => invalid(path, text, complaint));
}

/** One duplicate error for each key that was there before. */
export function duplicates(keys: readonly string[], pathOf: (index: number) => string): readonly FieldError[] {
  const seen = new Set<string>();
  return keys.flatMap((key, i) => {
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [duplicate(pathOf(i), key)];
  });
}

function nameErrors(name: string | undefined, generateName: string | undefined, rule: NameRule): readonly FieldError[] {
  if (name) return complaints("metadata.name", name, rule);
  if (!generateName) return [required("metadata.name", "name or generateName is required")];
  return complaints("metadata.generateName", generateName, (prefix) => rule(`${prefix}x`));
}

function annotationErrors(annotations: Readonly<Record<string, string>>): readonly FieldError[] {
  const entries = Object.entries(annotations);
  const bytes = entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const tooLong: readonly FieldError[] =
    bytes <= annotationBytesMax
      ? []
      : [
          {
            field: "metadata.annotations",
            type: "tooLong",
            message: `Too long: may not be more than ${annotationBytesMax} bytes`,
          },
        ];
  return [
    ...entries.flatMap(([name]) => complaints("metadata.annotations", name.toLowerCase(), qualifiedName)),
    ...tooLong,
  ];
}

function ownerErrors(object: KubeObject): readonly FieldError[] {
  const path = "metadata.ownerReferences";
  const owners = object.metadata?.ownerReferences ?? [];
  const empty = owners.flatMap((owner, i) =>
    (["apiVersion", "kind", "name", "uid"] as const)
      .filter((field) => !owner[field])
      .map((field) => required(child(at(path, i), field))),
  );
  const controllers = owners.filter((owner) => owner.controller === true).map((owner) => owner.name);
  return controllers.length <= 1
    ? empty
    : [...empty, invalid(path, controllers, "only one reference may have controller set to true")];
}
