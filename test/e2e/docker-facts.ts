// The facts of Docker's Engine API (node-agent/docker/facts), and what an answer has that they don't say, or lacks that they do.
import { readFileSync } from "node:fs";

export interface Schema {
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly "x-nullable"?: boolean;
}

interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: Schema;
  }[];
  readonly responses: Readonly<Record<string, { readonly schema?: Schema }>>;
}

interface Facts {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly definitions: Readonly<Record<string, Schema>>;
}

const path = new URL("../../node-agent/docker/facts/engine-api.json", import.meta.url).pathname;
export const facts = JSON.parse(readFileSync(path, "utf8")) as Facts;

/** By "GET /containers/json". */
export const operations: ReadonlyMap<string, Operation> = new Map(
  Object.entries(facts.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  ),
);

/** A schema with what it refers to and builds upon put in its place. */
export function resolve(schema: Schema): Schema {
  if (schema.$ref !== undefined) {
    const { $ref, ...own } = schema;
    const name = $ref.replace("#/definitions/", "");
    const found = facts.definitions[name];
    if (found === undefined) throw new Error(`the facts have no ${name}`);
    return { ...resolve(found), ...own };
  }
  if (schema.allOf === undefined) return schema;
  const { allOf, ...own } = schema;
  const parts = [...allOf.map(resolve), own];
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map(({ properties }) => properties)),
    required: parts.flatMap(({ required }) => required ?? []),
  };
}

export interface Differences {
  /** Values of another type, or none where one must be. */
  readonly wrong: readonly string[];
  readonly missing: readonly string[];
  readonly extra: readonly string[];
}

/** Places as "HostConfig.Binds[]". */
export function compare(value: unknown, schema: Schema): Differences {
  const found = { wrong: new Set<string>(), missing: new Set<string>(), extra: new Set<string>() };
  visit(value, schema, "", found);
  return { wrong: [...found.wrong], missing: [...found.missing], extra: [...found.extra] };
}

/** Null in docker's answers when they were not asked for, though the schema does not say so. Source: moby's api/types/container, Resources. */
const pointers = ["HostConfig.MemorySwappiness"];

type Found = Readonly<Record<keyof Differences, Set<string>>>;

function visit(value: unknown, unresolved: Schema, at: string, found: Found): void {
  const schema = resolve(unresolved);
  const wrong = (what: string) => found.wrong.add(`${at === "" ? "the body" : at}: ${what}`);
  if (value === null || value === undefined) {
    // Go's empty lists and maps are null on the wire, whatever the schema says.
    const mayBeNull =
      schema["x-nullable"] === true ||
      ["array", "object", undefined].includes(schema.type) ||
      pointers.some((field) => at.endsWith(field));
    if (!mayBeNull) wrong(`${schema.type} is null`);
    return;
  }
  if (schema.enum !== undefined && typeof value !== "object" && !schema.enum.includes(value))
    wrong(`${JSON.stringify(value)} is none of its values`);
  switch (schema.type) {
    case "string":
    case "boolean":
      if (typeof value !== schema.type) wrong(`${typeof value} instead of ${schema.type}`);
      return;
    case "integer":
    case "number":
      if (typeof value !== "number" || (schema.type === "integer" && !Number.isInteger(value)))
        wrong(`${JSON.stringify(value)} instead of ${schema.type}`);
      return;
    case "array":
      if (!Array.isArray(value)) wrong(`${typeof value} instead of a list`);
      else for (const one of value) visit(one, schema.items ?? {}, `${at}[]`, found);
      return;
    default:
      if (schema.properties === undefined && schema.type !== "object" && schema.additionalProperties === undefined)
        return;
      if (typeof value !== "object" || Array.isArray(value)) wrong(`${typeof value} instead of an object`);
      else visitObject(value as Readonly<Record<string, unknown>>, schema, at, found);
  }
}

function visitObject(value: Readonly<Record<string, unknown>>, schema: Schema, at: string, found: Found): void {
  const { properties = {}, additionalProperties, required = [] } = schema;
  const place = (key: string) => (at === "" ? key : `${at}.${key}`);
  for (const key of required) if (!Object.hasOwn(value, key)) found.wrong.add(`${place(key)}: is required and absent`);
  for (const key of Object.keys(properties)) if (!Object.hasOwn(value, key)) found.missing.add(place(key));
  for (const [key, one] of Object.entries(value)) {
    const known = properties[key];
    if (known !== undefined) visit(one, known, place(key), found);
    else if (typeof additionalProperties === "object") visit(one, additionalProperties, `${at}.*`, found);
    else if (Object.keys(properties).length > 0) found.extra.add(place(key));
  }
}
