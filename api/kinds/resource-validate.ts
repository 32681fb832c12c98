// Rules of what containers and pods ask for: names of resources, requests beside limits, and what a resize may do.
// Source: Kubernetes documentation, "Resource Management for Pods and Containers", "Manage HugePages", "Extended Resources".
import type { Container, ResourceRequirements } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { duplicate, forbidden, invalid, oneOf, required, unsupported } from "./schema/field-error.ts";
import { qualifiedName } from "./schema/names.ts";
import { at, child, key } from "./schema/path.ts";
import { compareQuantities, parseQuantity } from "./schema/quantity.ts";

/** Says why there is no such resource, if so. */
type ResourceRule = (name: string, path: string) => readonly FieldError[];

const isHugePages = (name: string) => name.startsWith("hugepages-");
/** A node has of it what it says it has: nobody may be promised more. */
const isExtended = (name: string) => name.includes("/") && !/^(?:.*\.)?kubernetes\.io\//.test(name);

export const containerResource: ResourceRule = (name, path) => {
  if (isHugePages(name) || ["cpu", "memory", "ephemeral-storage"].includes(name)) return [];
  if (!name.includes("/")) return [invalid(path, name, "must be a standard resource for containers")];
  return isExtended(name)
    ? complaints(path, name, qualifiedName)
    : [invalid(path, name, "must be a standard resource type or fully qualified")];
};

export const podResource: ResourceRule = (name, path) =>
  isHugePages(name) || name === "cpu" || name === "memory"
    ? []
    : [unsupported(path, name, ["cpu", "hugepages-<size>", "memory"])];

export function resourceErrors(
  { limits = {}, requests = {} }: ResourceRequirements,
  path: string,
  rule: ResourceRule,
): readonly FieldError[] {
  const names = Object.keys({ ...limits, ...requests });
  return [
    ...amountErrors(limits, child(path, "limits"), rule),
    ...amountErrors(requests, child(path, "requests"), rule),
    ...Object.entries(requests).flatMap(([resource, amount]) => {
      const limit = Object.hasOwn(limits, resource) ? limits[resource] : undefined;
      const fixed = isHugePages(resource) || isExtended(resource);
      if (limit === undefined)
        return fixed ? [required(child(path, "limits"), "Limit must be set for non overcommitable resources")] : [];
      const order = compareQuantities(amount, limit);
      const relation = fixed ? "equal to" : "less than or equal to";
      return order > 0 || (fixed && order !== 0)
        ? [invalid(child(path, "requests"), amount, `must be ${relation} ${resource} limit of ${limit}`)]
        : [];
    }),
    ...(names.some(isHugePages) && !names.includes("cpu") && !names.includes("memory")
      ? [forbidden(path, "HugePages require cpu or memory")]
      : []),
  ];
}

function amountErrors(
  amounts: Readonly<Record<string, string | number>>,
  path: string,
  rule: ResourceRule,
): readonly FieldError[] {
  return Object.entries(amounts).flatMap(([resource, amount]) => {
    const nanos = parseQuantity(amount)?.nanos ?? 0n;
    const field = key(path, resource);
    return [
      ...rule(resource, field),
      ...(nanos < 0n ? [invalid(field, amount, "must be greater than or equal to 0")] : []),
      ...(isExtended(resource) && nanos % 1_000_000_000n !== 0n ? [invalid(field, amount, "must be an integer")] : []),
    ];
  });
}

export function resizePolicyErrors({ resizePolicy = [] }: Container, path: string): readonly FieldError[] {
  return resizePolicy.flatMap(({ resourceName, restartPolicy }, i) => [
    ...oneOf(child(at(path, i), "resourceName"), resourceName, ["cpu", "memory"]),
    ...oneOf(child(at(path, i), "restartPolicy"), restartPolicy, ["NotRequired", "RestartContainer"]),
    ...(resizePolicy.findIndex((one) => one.resourceName === resourceName) < i
      ? [duplicate(at(path, i), resourceName)]
      : []),
  ]);
}
