// Prints the schemas and the served kinds as OpenAPI documents, as kubectl reads them for validation and explain.
import type { Resource } from "../resource.ts";
import {
  deleteOptionsType,
  groupPath,
  type Operation,
  type Path,
  patchMediaTypes,
  patchType,
  pathsOf,
  statusType,
} from "./openapi-paths.ts";
import { builtinSchemas, isObject, isQuantity, type JsonObject, type Schema, type Schemas } from "./schema.ts";

/** What explain says of a type (under "") and of its fields, by the last part of the type's name. */
export type Descriptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The document at /openapi/v2. */
export function openapiV2(
  resources: readonly Resource[],
  descriptions: Descriptions = {},
  schemas: Schemas = builtinSchemas,
): JsonObject {
  return {
    swagger: "2.0",
    info: { title: "Naru", version: "v1.36.0" },
    paths: Object.fromEntries(resources.flatMap(pathsOf).map((path) => [path.path, pathV2(path)])),
    definitions: definitions(Object.keys(schemas), { schemas, descriptions }, v2),
  };
}

/** The document at /openapi/v3/<path>, for "api/v1" or "apis/apps/v1": the resources of that group and version only. */
export function openapiV3(
  path: string,
  resources: readonly Resource[],
  descriptions: Descriptions = {},
  schemas: Schemas = builtinSchemas,
): JsonObject {
  const paths = resources.filter((resource) => groupPath(resource) === path).flatMap(pathsOf);
  const named = paths
    .flatMap((p) => p.operations)
    .flatMap(({ body, answer }) => [answer, ...(body === undefined ? [] : [body])]);
  return {
    openapi: "3.0.0",
    info: { title: "Naru", version: "v1.36.0" },
    paths: Object.fromEntries(paths.map((p) => [p.path, pathV3(p)])),
    components: {
      schemas: definitions(
        closureOf([...named, statusType, deleteOptionsType], schemas),
        { schemas, descriptions },
        v3,
      ),
    },
  };
}

/** The paths of openapiV3 that those resources need: "api/v1", "apis/apps/v1", … */
export function openapiV3Paths(resources: readonly Resource[]): readonly string[] {
  return [...new Set(resources.map(groupPath))];
}

interface Dialect {
  readonly prefix: string;
  /** A reference that has keys beside it. */
  readonly refBeside: (ref: JsonObject, beside: JsonObject) => JsonObject;
  readonly intOrString: JsonObject;
  readonly quantity: JsonObject;
}

const v2: Dialect = {
  prefix: "#/definitions/",
  refBeside: (ref, beside) => ({ ...ref, ...beside }),
  intOrString: { type: "string", format: "int-or-string" },
  quantity: { type: "string" },
};
const v3: Dialect = {
  prefix: "#/components/schemas/",
  refBeside: (ref, beside) => ({ allOf: [ref], ...beside }),
  intOrString: { format: "int-or-string", oneOf: [{ type: "integer" }, { type: "string" }] },
  quantity: { oneOf: [{ type: "string" }, { type: "number" }] },
};

interface Types {
  readonly schemas: Schemas;
  readonly descriptions: Descriptions;
}

function definitions(names: readonly string[], { schemas, descriptions }: Types, dialect: Dialect): JsonObject {
  const own = names.flatMap((name) => {
    if (!Object.hasOwn(schemas, name)) return [];
    const texts = descriptions[name.split(".").at(-1) ?? ""];
    return [[name, describe(printType(name, schemas[name] ?? {}, dialect), texts)]];
  });
  return { ...Object.fromEntries(own), [patchType]: { type: "object" } };
}

function printType(name: string, schema: Schema, dialect: Dialect): JsonObject {
  if (isQuantity({ ref: name })) return dialect.quantity;
  if (schema.properties === undefined && schema.type === undefined) return { type: "object" };
  const kinds = (schema.gvk ?? []).map(gvkOf);
  return { ...print(schema, dialect), ...(kinds.length === 0 ? {} : { "x-kubernetes-group-version-kind": kinds }) };
}

function describe(type: JsonObject, texts: Readonly<Record<string, string>> | undefined): JsonObject {
  if (texts === undefined) return type;
  const { "": own, ...fields } = texts;
  const properties = type["properties"];
  if (!isObject(properties)) return { ...type, ...(own === undefined ? {} : { description: own }) };
  const described = Object.entries(properties).map(([name, field]) => {
    const description = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return [name, description === undefined || !isObject(field) ? field : besideRef(field, { description })];
  });
  return { ...(own === undefined ? {} : { description: own }), ...type, properties: Object.fromEntries(described) };
}

// In OpenAPI 3.0 nothing stands beside a reference; in 2.0 too, but kubectl reads a description there.
function besideRef(field: JsonObject, beside: JsonObject): JsonObject {
  const ref = field["$ref"];
  const isV3 = typeof ref === "string" && ref.startsWith(v3.prefix);
  return isV3 ? { allOf: [field], ...beside } : { ...field, ...beside };
}

function print(schema: Schema, dialect: Dialect): JsonObject {
  const beside = extensions(schema);
  if (schema.ref !== undefined) {
    const ref = { $ref: `${dialect.prefix}${schema.ref}` };
    return Object.keys(beside).length === 0 ? ref : dialect.refBeside(ref, beside);
  }
  if (schema.format === "int-or-string") return { ...dialect.intOrString, ...beside };
  const { properties, items, values, required } = schema;
  const type = properties === undefined ? schema.type : "object";
  return {
    ...(type === undefined ? {} : { type }),
    ...(schema.format === undefined ? {} : { format: schema.format }),
    ...(schema.enum === undefined ? {} : { enum: schema.enum }),
    ...(required === undefined ? {} : { required }),
    ...(items === undefined ? {} : { items: print(items, dialect) }),
    ...(values === undefined ? {} : { additionalProperties: print(values, dialect) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, child]) => [name, print(child, dialect)]),
          ),
        }),
    ...beside,
  };
}

function extensions(schema: Schema): JsonObject {
  return {
    ...(schema.default === undefined ? {} : { default: schema.default }),
    ...(schema.listType === undefined ? {} : { "x-kubernetes-list-type": schema.listType }),
    ...(schema.listMapKeys === undefined ? {} : { "x-kubernetes-list-map-keys": schema.listMapKeys }),
    ...(schema.mapType === undefined ? {} : { "x-kubernetes-map-type": schema.mapType }),
    ...(schema.patchStrategy === undefined ? {} : { "x-kubernetes-patch-strategy": schema.patchStrategy }),
    ...(schema.patchMergeKey === undefined ? {} : { "x-kubernetes-patch-merge-key": schema.patchMergeKey }),
  };
}

/** "apps/v1/Deployment", "v1/Pod" */
function gvkOf(text: string): JsonObject {
  const parts = text.split("/");
  return { group: parts.length === 3 ? parts[0] : "", version: parts.at(-2), kind: parts.at(-1) };
}

function pathV2({ parameters, operations }: Path): JsonObject {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, operationV2(operation)])),
    parameters: parameters.map((name) => ({ name, in: "path", required: true, type: "string", uniqueItems: true })),
  };
}

function operationV2({ id, action, kind, query, body, answer }: Operation): JsonObject {
  const schema = { $ref: `${v2.prefix}${body === "patch" ? patchType : body}` };
  return {
    operationId: id,
    consumes: body === "patch" ? patchMediaTypes : ["*/*"],
    produces: ["application/json"],
    schemes: ["https"],
    parameters: [
      ...(body === undefined
        ? []
        : [{ name: "body", in: "body", required: action !== "delete" && action !== "deletecollection", schema }]),
      ...query.map(([name, type]) => ({ name, in: "query", type, uniqueItems: true })),
    ],
    responses: { "200": { description: "OK", schema: { $ref: `${v2.prefix}${answer}` } } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": kind,
  };
}

function pathV3({ parameters, operations }: Path): JsonObject {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, operationV3(operation)])),
    parameters: parameters.map((name) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string", uniqueItems: true },
    })),
  };
}

function operationV3({ id, action, kind, query, body, answer }: Operation): JsonObject {
  const bodySchema = { schema: { $ref: `${v3.prefix}${body === "patch" ? patchType : body}` } };
  const types = body === "patch" ? patchMediaTypes : ["*/*"];
  return {
    operationId: id,
    parameters: query.map(([name, type]) => ({ name, in: "query", schema: { type, uniqueItems: true } })),
    ...(body === undefined
      ? {}
      : { requestBody: { content: Object.fromEntries(types.map((type) => [type, bodySchema])) } }),
    responses: {
      "200": { description: "OK", content: { "application/json": { schema: { $ref: `${v3.prefix}${answer}` } } } },
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": kind,
  };
}

function closureOf(start: readonly string[], schemas: Schemas): readonly string[] {
  const seen = new Set<string>();
  const visit = (schema: Schema | undefined): void => {
    if (schema === undefined) return;
    if (schema.ref !== undefined && !seen.has(schema.ref)) {
      seen.add(schema.ref);
      visit(schemas[schema.ref]);
    }
    visit(schema.items);
    visit(schema.values);
    for (const property of Object.values(schema.properties ?? {})) visit(property);
  };
  for (const name of start) visit({ ref: name });
  return [...seen].sort();
}
