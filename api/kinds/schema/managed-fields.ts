// metadata.managedFields: reading it into sets of fields, and writing it.
import { timestamp } from "../../../lib/clock.ts";
import type { ManagedFieldsEntry } from "../generated/types.ts";
import { type Fields, fromFieldsV1, toFieldsV1 } from "./field-set.ts";
import { isObject, type JsonObject } from "./schema.ts";

export interface Manager {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly fields: Fields;
}

export function managersOf(object: JsonObject): readonly Manager[] {
  const metadata = object["metadata"];
  const entries = isObject(metadata) && Array.isArray(metadata["managedFields"]) ? metadata["managedFields"] : [];
  return (entries as readonly ManagedFieldsEntry[])
    .filter((entry) => entry.manager !== undefined && isObject(entry.fieldsV1))
    .map((entry) => ({
      manager: entry.manager ?? "",
      operation: entry.operation === "Apply" ? "Apply" : "Update",
      apiVersion: entry.apiVersion ?? "",
      subresource: entry.subresource ?? "",
      time: entry.time ?? timestamp(0),
      fields: fromFieldsV1(entry.fieldsV1),
    }));
}

export function withManagers(object: JsonObject, managers: readonly Manager[]): JsonObject {
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  const { managedFields: _, ...rest } = metadata;
  const sorted = [...managers].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return {
    ...object,
    metadata: managers.length === 0 ? rest : { ...rest, managedFields: sorted.map(entryOf) },
  };
}

export function isSameManager(a: Omit<Manager, "time" | "fields">, b: Omit<Manager, "time" | "fields">): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    a.apiVersion === b.apiVersion &&
    a.subresource === b.subresource
  );
}

/** Appliers first, then by time, as Kubernetes lists them. */
function order({ operation, time, manager, subresource }: Manager): string {
  return `${operation === "Apply" ? 0 : 1} ${time} ${manager} ${subresource}`;
}

function entryOf({ manager, operation, apiVersion, subresource, time, fields }: Manager): ManagedFieldsEntry {
  return {
    manager,
    operation,
    apiVersion,
    time,
    fieldsType: "FieldsV1",
    fieldsV1: toFieldsV1(fields),
    ...(subresource === "" ? {} : { subresource }),
  };
}
