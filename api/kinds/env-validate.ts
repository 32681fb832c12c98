// Rules of a container's environment, and of the fields that variables and files may stand for.
// Source: Kubernetes 1.36 API reference, "EnvVar", "ObjectFieldSelector", "ResourceFieldSelector".
import type { Container, EnvFromSource, EnvVar, ResourceFieldSelector } from "./generated/types.ts";
import { exactlyOne } from "./handler-validate.ts";
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { invalid, oneOf, required, unsupported } from "./schema/field-error.ts";
import { configKey, dns1123Subdomain, envName, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
import { compareQuantities } from "./schema/quantity.ts";

export function environmentErrors({ env = [], envFrom = [] }: Container, path: string): readonly FieldError[] {
  return [
    ...env.flatMap((one, i) => envErrors(one, at(child(path, "env"), i))),
    ...envFrom.flatMap((from, i) => envFromErrors(from, at(child(path, "envFrom"), i))),
  ];
}

function envFromErrors({ prefix, configMapRef, secretRef }: EnvFromSource, path: string): readonly FieldError[] {
  return [
    ...(prefix ? complaints(child(path, "prefix"), prefix, envName) : []),
    ...exactlyOne(path, { configMapRef, secretRef }),
    ...(configMapRef === undefined ? [] : nameErrors(configMapRef.name, child(path, "configMapRef.name"))),
    ...(secretRef === undefined ? [] : nameErrors(secretRef.name, child(path, "secretRef.name"))),
  ];
}

function nameErrors(name: string | undefined, path: string): readonly FieldError[] {
  return name ? complaints(path, name, dns1123Subdomain) : [required(path)];
}

function envErrors(env: EnvVar, path: string): readonly FieldError[] {
  const name = env.name ? complaints(child(path, "name"), env.name, envName) : [required(child(path, "name"))];
  if (env.valueFrom === undefined) return name;
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = env.valueFrom;
  const from = child(path, "valueFrom");
  const keyErrors = (selector: { readonly name?: string; readonly key: string } | undefined, field: string) =>
    selector === undefined
      ? []
      : [
          ...(selector.name ? complaints(child(from, `${field}.name`), selector.name, dns1123Subdomain) : []),
          ...(selector.key
            ? complaints(child(from, `${field}.key`), selector.key, configKey)
            : [required(child(from, `${field}.key`))]),
        ];
  return [
    ...name,
    ...(env.value ? [invalid(from, "", "may not be specified when `value` is not empty")] : []),
    ...exactlyOne(from, { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef }),
    ...(fieldRef === undefined ? [] : fieldRefErrors(fieldRef.fieldPath, child(from, "fieldRef"), variableFields)),
    ...(resourceFieldRef === undefined ? [] : resourceFieldErrors(resourceFieldRef, child(from, "resourceFieldRef"))),
    ...keyErrors(configMapKeyRef, "configMapKeyRef"),
    ...keyErrors(secretKeyRef, "secretKeyRef"),
  ];
}

const variableFields = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];
/** Files follow the pod, so they may tell what changes, and cannot tell what comes late. */
export const fileFields = [
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
];

export function fieldRefErrors(fieldPath: string, path: string, allowed: readonly string[]): readonly FieldError[] {
  const field = child(path, "fieldPath");
  if (!fieldPath) return [required(field)];
  const keyed = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(fieldPath);
  if (keyed === null) return oneOf(field, fieldPath, allowed);
  // Keys of annotations are compared without regard to case.
  const name = keyed[2] ?? "";
  return complaints(field, keyed[1] === "labels" ? name : name.toLowerCase(), qualifiedName);
}

const resources = ["cpu", "ephemeral-storage", "memory"].flatMap((name) => [`limits.${name}`, `requests.${name}`]);
const hugePages = /^(?:limits|requests)\.hugepages-./;

/** A divisor is one of a resource's units. */
export function resourceFieldErrors(
  { resource, divisor = "0" }: ResourceFieldSelector,
  path: string,
): readonly FieldError[] {
  if (!resource) return [required(child(path, "resource"))];
  if (!hugePages.test(resource) && !resources.includes(resource))
    return [unsupported(child(path, "resource"), resource, [...resources].sort())];
  const units = resource.endsWith(".cpu")
    ? ["1m", "1"]
    : ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
  return ["0", ...units].some((unit) => compareQuantities(divisor, unit) === 0)
    ? []
    : [unsupported(child(path, "divisor"), String(divisor), units)];
}
