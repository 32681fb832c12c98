// What a PriorityClass does beyond its schema: a name for how important pods are. Source: Kubernetes, "Pod Priority and Preemption".
import { ageColumn, column, nameColumn, numberColumn } from "./columns.ts";
import { priorityclasses } from "./generated/resources.ts";
import type { PriorityClass } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { forbidden, oneOf } from "./schema/field-error.ts";

/** Above every class of a user's. */
export const systemClasses: ReadonlyMap<string, number> = new Map([
  ["system-cluster-critical", 2_000_000_000],
  ["system-node-critical", 2_000_001_000],
]);
const userPriorityMax = 1_000_000_000;

export const priorityClassKind: Kind<PriorityClass> = {
  resource: priorityclasses,
  lasting: new Map(
    [...systemClasses.keys()].map((name) => [name, "this is a system priority class and cannot be deleted"]),
  ),
  columns: [
    nameColumn,
    numberColumn("Value", "Pods with more are placed first and evicted last.", ({ value }) => value),
    {
      ...column("Global-Default", "Whether pods that name no class are of this one.", () => ""),
      type: "boolean",
      cell: ({ globalDefault }) => globalDefault ?? false,
    },
    ageColumn,
    column(
      "PreemptionPolicy",
      "Whether its pods may push others away.",
      ({ preemptionPolicy }) => preemptionPolicy ?? "",
    ),
  ],
  selectableFields: {},
  defaults: (priorityClass) => ({
    ...priorityClass,
    preemptionPolicy: priorityClass.preemptionPolicy ?? "PreemptLowerPriority",
  }),
  validate: (priorityClass) => [
    ...validateMetadata(priorityClass),
    ...validateValue(priorityClass),
    ...oneOf("preemptionPolicy", priorityClass.preemptionPolicy, ["Never", "PreemptLowerPriority"]),
  ],
  validateUpdate: (priorityClass, old) =>
    (["value", "preemptionPolicy"] as const)
      .filter((field) => (priorityClass[field] ?? 0) !== (old[field] ?? 0))
      .map((field) => forbidden(field, "may not be changed in an update.")),
};

function validateValue({ metadata, value = 0 }: PriorityClass): readonly FieldError[] {
  const name = metadata?.name ?? "";
  if (systemClasses.get(name) === value) return [];
  if (name.startsWith("system-"))
    return [forbidden("metadata.name", "priority class names with 'system-' prefix are reserved for system use only")];
  return value > userPriorityMax
    ? [forbidden("value", `maximum allowed value of a user defined priority is ${userPriorityMax}`)]
    : [];
}
