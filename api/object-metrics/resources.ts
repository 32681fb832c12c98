// Amounts of resources as samples: cores, bytes, or a count.
import { parseQuantity } from "../kinds/schema/quantity.ts";
import type { Labels, Sample } from "./family.ts";

const units: Readonly<Record<string, string>> = {
  cpu: "core",
  memory: "byte",
  "ephemeral-storage": "byte",
  storage: "byte",
};

export function resourceSamples(
  amounts: Readonly<Record<string, string | number>> | undefined,
  labels: Labels,
): readonly Sample[] {
  return Object.entries(amounts ?? {}).flatMap(([resource, text]): readonly Sample[] => {
    const quantity = parseQuantity(text);
    if (quantity === undefined) return [];
    const unit = units[resource] ?? (resource.startsWith("hugepages-") ? "byte" : "integer");
    return [[{ ...labels, resource: resource.replaceAll(/[^a-zA-Z0-9_]/g, "_"), unit }, Number(quantity.nanos) / 1e9]];
  });
}
