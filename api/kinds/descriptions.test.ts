import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { resources } from "./generated/resources.ts";
import type { Resource } from "./resource.ts";
import { type Descriptions, openapiV2, openapiV3 } from "./schema/openapi.ts";
import { builtinSchemas } from "./schema/schema.ts";

const descriptions = JSON.parse(readFileSync(new URL("descriptions.json", import.meta.url), "utf8")) as Descriptions;
const schemas = Object.entries(builtinSchemas).map(([name, schema]) => [name.split(".").at(-1) ?? "", schema] as const);
const fieldsOf = (type: string) =>
  schemas.filter(([name]) => name === type).flatMap(([, { properties = {} }]) => Object.keys(properties));

test("descriptions.json describes only types and fields that there are, each in a sentence", () => {
  const wrong = Object.entries(descriptions).flatMap(([type, texts]) =>
    Object.entries(texts).flatMap(([field, text]) => {
      const known = field === "" ? fieldsOf(type).length > 0 : fieldsOf(type).includes(field);
      return known && /^["A-Z/].*\.$/s.test(text) && text.length < 240 ? [] : [`${type}.${field}: ${text}`];
    }),
  );
  assert.deepEqual(wrong, []);
});

test("descriptions.json does not say of a type what it says of a field: kubectl explain prints both, one below the other", () => {
  const ofTypes = new Set(Object.values(descriptions).flatMap(({ "": own }) => own ?? []));
  const twice = Object.entries(descriptions).flatMap(([type, { "": _, ...fields }]) =>
    Object.entries(fields).flatMap(([field, text]) => (ofTypes.has(text) ? [`${type}.${field}`] : [])),
  );
  assert.deepEqual(twice, []);
});

test("descriptions.json describes every stored kind with its spec and status, and all of what people look up", () => {
  const stored = (resources as readonly Resource[]).filter(({ verbs }) => verbs.includes("list"));
  const kinds = stored.flatMap(({ kind }) =>
    ["", ...fieldsOf(kind).filter((field) => ["spec", "status", "data"].includes(field))].map((field) => [kind, field]),
  );
  const whole = ["DeploymentSpec", "DeploymentStatus", "ServicePort", "Probe", "ResourceRequirements", "ContainerPort"];
  const wanted = [...kinds, ...whole.flatMap((type) => fieldsOf(type).map((field) => [type, field]))];
  assert.deepEqual(
    wanted.filter(([type = "", field = ""]) => descriptions[type]?.[field] === undefined),
    [],
  );
});

test("openapiV2 and openapiV3 carry them, beside references too", () => {
  const served = resources as unknown as readonly Resource[];
  const v2 = openapiV2(served, descriptions) as { definitions: Record<string, { properties: Record<string, object> }> };
  const v3 = openapiV3("api/v1", served, descriptions) as {
    components: { schemas: Record<string, { properties: Record<string, object> }> };
  };
  const name = "io.k8s.api.core.v1.Pod";
  const description = descriptions["Pod"]?.["spec"];
  assert.deepEqual(
    [v2.definitions[name]?.properties["spec"], v3.components.schemas[name]?.properties["spec"]],
    [
      { $ref: "#/definitions/io.k8s.api.core.v1.PodSpec", description },
      { allOf: [{ $ref: "#/components/schemas/io.k8s.api.core.v1.PodSpec" }], description },
    ],
  );
});
