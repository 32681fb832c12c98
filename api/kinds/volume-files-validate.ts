// Rules of the files that a volume is made of: keys of ConfigMaps and Secrets, fields of the pod, tokens, and all of them together.
import { fieldRefErrors, fileFields, resourceFieldErrors } from "./env-validate.ts";
import type {
  DownwardAPIVolumeFile,
  KeyToPath,
  ProjectedVolumeSource,
  ResourceFieldSelector,
  VolumeProjection,
} from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { forbidden, invalid, required } from "./schema/field-error.ts";
import { at, child } from "./schema/path.ts";

const expirationSecondsMin = 600;
const expirationSecondsMax = 2 ** 32;

export function projectedErrors({ sources = [] }: ProjectedVolumeSource, path: string): readonly FieldError[] {
  const taken = new Set<string>();
  return sources.flatMap((source, i) => {
    const here = at(child(path, "sources"), i);
    // As the API server: only what is named can be told apart here; keys of whole ConfigMaps are put over one another.
    const twice = pathsOf(source).filter((file) => taken.has(file));
    for (const file of pathsOf(source)) taken.add(file);
    return [
      ...projectionErrors(source, here),
      ...twice.map((file) => invalid(here, file, "conflicting duplicate paths")),
    ];
  });
}

function pathsOf({ configMap, secret, downwardAPI, serviceAccountToken }: VolumeProjection): readonly string[] {
  const files = [...(configMap?.items ?? []), ...(secret?.items ?? []), ...(downwardAPI?.items ?? [])];
  return [...files, ...(serviceAccountToken === undefined ? [] : [serviceAccountToken])].map((file) => file.path);
}

function projectionErrors(source: VolumeProjection, path: string): readonly FieldError[] {
  const kinds = Object.keys(source);
  const { serviceAccountToken: token } = source;
  const seconds = token?.expirationSeconds;
  return [
    ...(kinds.length === 0 ? [required(path, "must specify a source")] : []),
    ...kinds.slice(1).map((kind) => forbidden(child(path, kind), "may not specify more than 1 volume type")),
    ...keyErrors(source.configMap?.items, child(path, "configMap.items")),
    ...keyErrors(source.secret?.items, child(path, "secret.items")),
    ...downwardErrors(source.downwardAPI?.items, child(path, "downwardAPI.items")),
    ...(token !== undefined && !token.path ? [required(child(path, "serviceAccountToken.path"))] : []),
    ...fileErrors(token?.path, child(path, "serviceAccountToken.path")),
    ...(seconds !== undefined && seconds < expirationSecondsMin
      ? [
          invalid(
            child(path, "serviceAccountToken.expirationSeconds"),
            seconds,
            "may not specify a duration less than 10 minutes",
          ),
        ]
      : []),
    ...(seconds !== undefined && seconds > expirationSecondsMax
      ? [
          invalid(
            child(path, "serviceAccountToken.expirationSeconds"),
            seconds,
            "may not specify a duration larger than 2^32 seconds",
          ),
        ]
      : []),
  ];
}

export function downwardErrors(
  items: readonly DownwardAPIVolumeFile[] | undefined,
  path: string,
): readonly FieldError[] {
  return (items ?? []).flatMap((item, i) => {
    const here = at(path, i);
    const both = item.fieldRef !== undefined && item.resourceFieldRef !== undefined;
    const neither = item.fieldRef === undefined && item.resourceFieldRef === undefined;
    return [
      ...(item.path ? [] : [required(child(here, "path"))]),
      ...fileErrors(item.path, child(here, "path")),
      ...(item.fieldRef === undefined
        ? []
        : fieldRefErrors(item.fieldRef.fieldPath, child(here, "fieldRef"), fileFields)),
      ...(item.resourceFieldRef === undefined
        ? []
        : fileResourceErrors(item.resourceFieldRef, child(here, "resourceFieldRef"))),
      ...(both ? [invalid(here, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")] : []),
      ...(neither ? [required(here, "one of fieldRef and resourceFieldRef is required")] : []),
      ...modeErrors(item.mode, child(here, "mode")),
    ];
  });
}

export function modeErrors(mode: number | undefined, path: string): readonly FieldError[] {
  return mode === undefined || (mode >= 0 && mode <= 0o777)
    ? []
    : [invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")];
}

/** Files must stay inside of their volume. */
export function keyErrors(items: readonly KeyToPath[] | undefined, path: string): readonly FieldError[] {
  return (items ?? []).flatMap((item, i) => [
    ...(item.key ? [] : [required(child(at(path, i), "key"))]),
    ...(item.path ? [] : [required(child(at(path, i), "path"))]),
    ...fileErrors(item.path, child(at(path, i), "path")),
    ...modeErrors(item.mode, child(at(path, i), "mode")),
  ]);
}

function fileResourceErrors(selector: ResourceFieldSelector, path: string): readonly FieldError[] {
  return [
    ...(selector.containerName ? [] : [required(child(path, "containerName"))]),
    ...resourceFieldErrors(selector, path),
  ];
}

// Such names are the volume's own: they tell one state of it from the next.
function fileErrors(text: string | undefined, path: string): readonly FieldError[] {
  const errors = pathErrors(text, path);
  return errors.length === 0 && text?.startsWith("..") === true
    ? [invalid(path, text, "must not start with '..'")]
    : errors;
}

export function pathErrors(text: string | undefined, path: string): readonly FieldError[] {
  if (!text) return [];
  if (text.startsWith("/")) return [invalid(path, text, "must be a relative path")];
  return text.split("/").includes("..") ? [invalid(path, text, "must not contain '..'")] : [];
}
