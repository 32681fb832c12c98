// Server-side apply: who owns which field, what an applied object changes, and who is in the way.
// Source: Kubernetes documentation, "Server-Side Apply"; sigs.k8s.io/structured-merge-diff.
import { timestamp } from "../../../lib/clock.ts";
import { ApiError } from "../status.ts";
import { layOver, takeAway } from "./apply-merge.ts";
import { clientApplied } from "./client-side-apply.ts";
import {
  compareFields,
  difference,
  type Fields,
  fieldsOf,
  intersection,
  pathsOfFields,
  toFieldsV1,
  union,
} from "./field-set.ts";
import { isSameManager, type Manager, managersOf, withManagers } from "./managed-fields.ts";
import { builtinSchemas, isObject, type JsonObject, type Schemas } from "./schema.ts";

export interface Writer {
  /** fieldManager of the request. */
  readonly manager: string;
  readonly apiVersion: string;
  /** "status" when that subresource was written; absent for the main resource. */
  readonly subresource?: string;
  readonly nowMs: number;
}

// Owns what an object had before it was applied for the first time: until then nobody keeps account.
const beforeFirstApply = "before-first-apply";

/**
 * The object that results when `manager` applies `applied` over `live` (undefined: it is created), metadata.managedFields up to date;
 * defaults and validation come after it. Throws ApiError Conflict, one cause per field, when another manager owns a field with another
 * value and `force` is not set. `applied` is pruned: a null in it would be laid over the live object.
 */
export function applyServerSide(
  options: {
    readonly typeName: string;
    readonly live: JsonObject | undefined;
    readonly applied: JsonObject;
    readonly writer: Writer;
    readonly force: boolean;
  },
  schemas: Schemas = builtinSchemas,
): JsonObject {
  const { typeName, writer, force } = options;
  const schema = { ref: typeName };
  refuseManagedFields(options.applied);
  const live = options.live ?? {};
  const applied = restricted(options.applied, writer);
  const self = managerOf(writer, "Apply");
  const managers = knownManagers(options.live, writer, typeName, schemas);
  const last = managers.find((m) => isSameManager(m, self))?.fields;
  const others = managers.filter((m) => !isSameManager(m, self));
  const fields = ownable(fieldsOf({ value: applied, schema }, schemas));
  const merged = layOver({ value: withManagers(live, []), schema }, { value: applied, schema }, schemas);
  const compared = compareFields({ value: withManagers(live, []), schema }, { value: merged, schema }, schemas);
  if (!force && compared.changed !== undefined) {
    const own = clientApplied(live, writer.manager, { schema, schemas });
    refuseConflicts(others, difference(compared.changed, own));
  }
  const left = others.flatMap((m) => shrunk(m, compared.changed));
  const kept = left.map((m) => m.fields).reduce<Fields | undefined>(union, fields);
  const object = last === undefined ? merged : takeAway({ value: merged, schema }, { last, kept }, schemas);
  const same = last !== undefined && fields !== undefined && textOfFields(last) === textOfFields(fields);
  const time = same ? managers.find((m) => isSameManager(m, self))?.time : undefined;
  const own = fields === undefined ? [] : [{ ...self, time: time ?? timestamp(writer.nowMs), fields }];
  return withManagers(isObject(object) ? object : {}, [...left, ...own]);
}

/**
 * After an update or any patch but apply: `object` with managedFields that give `writer` what it changed from `live`. Objects that were
 * never applied carry no managedFields, and cost nothing.
 */
export function trackUpdate(
  options: {
    readonly typeName: string;
    readonly live: JsonObject | undefined;
    readonly object: JsonObject;
    readonly writer: Writer;
  },
  schemas: Schemas = builtinSchemas,
): JsonObject {
  const { live, object, writer, typeName } = options;
  const managers = live === undefined || isReset(object) ? [] : managersOf(live);
  if (live === undefined || managers.length === 0) return withManagers(object, []);
  const schema = { ref: typeName };
  const [before, after] = [live, object].map((o) => withManagers(o, []));
  const compared = compareFields({ value: before, schema }, { value: after, schema }, schemas);
  const changed = compared.changed === undefined ? undefined : ownable(compared.changed);
  if (changed === undefined && compared.removed === undefined) return withManagers(object, managers);
  const self = managerOf(writer, "Update");
  const own = managers.find((m) => isSameManager(m, self));
  const others = managers
    .filter((m) => m !== own)
    .flatMap((m) => shrunk(m, changed))
    .flatMap((m) => shrunk(m, compared.removed));
  const kept = own === undefined ? undefined : difference(own.fields, compared.removed);
  const fields = union(kept, changed);
  return withManagers(object, [
    ...others,
    ...(fields === undefined ? [] : [{ ...self, time: timestamp(writer.nowMs), fields }]),
  ]);
}

function knownManagers(
  live: JsonObject | undefined,
  writer: Writer,
  typeName: string,
  schemas: Schemas,
): readonly Manager[] {
  if (live === undefined) return [];
  const managers = managersOf(live);
  if (managers.length > 0) return managers;
  const { status: _, ...main } = live;
  const fields = ownable(fieldsOf({ value: withManagers(main, []), schema: { ref: typeName } }, schemas));
  const first = managerOf({ manager: beforeFirstApply, apiVersion: writer.apiVersion, nowMs: writer.nowMs }, "Update");
  return fields === undefined ? [] : [{ ...first, time: timestamp(writer.nowMs), fields }];
}

function managerOf(
  { manager, apiVersion, subresource }: Writer,
  operation: "Apply" | "Update",
): Omit<Manager, "time" | "fields"> {
  return { manager, operation, apiVersion, subresource: subresource ?? "" };
}

const identity = [
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "generation",
  "selfLink",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
];

/** Nobody owns what identifies an object. */
function ownable(fields: Fields): Fields | undefined {
  const result = new Map(fields);
  result.delete("f:apiVersion");
  result.delete("f:kind");
  const metadata = new Map(result.get("f:metadata"));
  for (const name of identity) metadata.delete(`f:${name}`);
  metadata.delete(".");
  if (metadata.size === 0) result.delete("f:metadata");
  else result.set("f:metadata", metadata);
  return result.size === 0 ? undefined : result;
}

/** The main resource does not write status; the status subresource writes nothing else. */
function restricted(applied: JsonObject, { subresource }: Writer): JsonObject {
  if (subresource !== "status")
    return Object.fromEntries(Object.entries(applied).filter(([name]) => name !== "status"));
  const metadata = isObject(applied["metadata"]) ? applied["metadata"] : {};
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, ...named } = metadata;
  return {
    ...Object.fromEntries(
      ["apiVersion", "kind", "status"].filter((name) => name in applied).map((name) => [name, applied[name]]),
    ),
    metadata: named,
  };
}

function shrunk(manager: Manager, by: Fields | undefined): readonly Manager[] {
  const fields = difference(manager.fields, by);
  return fields === undefined ? [] : [{ ...manager, fields }];
}

function textOfFields(fields: Fields): string {
  return JSON.stringify(toFieldsV1(fields));
}

function refuseConflicts(others: readonly Manager[], changed: Fields | undefined): void {
  const causes = others.flatMap((m) => {
    const common = intersection(m.fields, changed);
    const who = `conflict with ${JSON.stringify(m.manager)}${m.subresource === "" ? "" : ` with subresource ${JSON.stringify(m.subresource)}`} using ${m.apiVersion}`;
    return (common === undefined ? [] : pathsOfFields(common)).map((field) => ({
      reason: "FieldManagerConflict",
      message: who,
      field,
    }));
  });
  if (causes.length === 0) return;
  const lines = causes.map((cause) => `${cause.message}: ${cause.field}`);
  const count = `${causes.length} conflict${causes.length === 1 ? "" : "s"}`;
  throw new ApiError("Conflict", `Apply failed with ${count}: ${lines.join("\n")}`, { details: { causes } });
}

function refuseManagedFields(applied: JsonObject): void {
  const metadata = applied["metadata"];
  const given = isObject(metadata) ? metadata["managedFields"] : undefined;
  if (Array.isArray(given) && given.length > 0) throw new ApiError("BadRequest", "metadata.managedFields must be nil");
}

/** A user may empty managedFields to start anew. */
function isReset(object: JsonObject): boolean {
  const metadata = object["metadata"];
  const given = isObject(metadata) ? metadata["managedFields"] : undefined;
  return Array.isArray(given) && given.every((entry) => isObject(entry) && Object.keys(entry).length === 0);
}
