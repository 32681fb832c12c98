// OpenAPI: what kubectl reads of it. That real kubectls read it is checked end to end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { resources } from "../generated/resources.ts";
import type { Resource } from "../resource.ts";
import { openapiV2, openapiV3, openapiV3Paths } from "./openapi.ts";
import { encodeOpenapiV2 } from "./openapi-v2-proto.ts";
import { valueAt } from "./path.ts";
import { isObject, type JsonObject } from "./schema.ts";

const served = resources as unknown as readonly Resource[];

function refsIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(refsIn);
  if (!isObject(value)) return [];
  const own = typeof value["$ref"] === "string" ? [value["$ref"]] : [];
  return [...own, ...Object.values(value).flatMap(refsIn)];
}

function at(document: JsonObject, ...names: readonly string[]): unknown {
  return names.reduce<unknown>((value, name) => (isObject(value) ? value[name] : undefined), document);
}

test("openapiV2 defines all that it refers to, and prints merge keys", () => {
  const document = openapiV2(served);
  const missing = refsIn(document).filter(
    (ref) => at(document, "definitions", ref.slice("#/definitions/".length)) === undefined,
  );
  assert.deepEqual(missing, []);
  assert.deepEqual(at(document, "definitions", "io.k8s.api.core.v1.PodSpec", "properties", "containers"), {
    type: "array",
    items: { $ref: "#/definitions/io.k8s.api.core.v1.Container" },
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "x-kubernetes-patch-strategy": "merge",
    "x-kubernetes-patch-merge-key": "name",
  });
});

for (const path of openapiV3Paths(served)) {
  test(`openapiV3 defines all that it refers to in ${path}`, () => {
    const document = openapiV3(path, served);
    const missing = refsIn(document).filter(
      (ref) => at(document, "components", "schemas", ref.slice("#/components/schemas/".length)) === undefined,
    );
    assert.deepEqual(missing, []);
  });
}

test("openapiV3 names each path's kind and what a patch may be", () => {
  const document = openapiV3("apis/apps/v1", served);
  const path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
  assert.deepEqual(at(document, "paths", path, "get", "x-kubernetes-group-version-kind"), {
    group: "apps",
    version: "v1",
    kind: "Deployment",
  });
  const content = at(document, "paths", path, "patch", "requestBody", "content");
  assert.ok(isObject(content) && Object.keys(content).includes("application/strategic-merge-patch+json"));
  assert.notEqual(at(document, "paths", `${path}/scale`, "put"), undefined);
  assert.equal(valueAt(document, "info.title"), "Naru");
});

test("encodeOpenapiV2 writes every path and definition as gnostic's messages", () => {
  const document = openapiV2(served);
  const members = { 8: 2, 9: 1 };
  const counts: Record<number, number> = {};
  const reader = new BinaryReader(encodeOpenapiV2(document));
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field !== 8 && field !== 9) {
      reader.skip(type);
      continue;
    }
    const inner = new BinaryReader(reader.bytes());
    while (inner.pos < inner.len) {
      const [member, memberType] = inner.tag();
      if (member === members[field]) counts[field] = (counts[field] ?? 0) + 1;
      inner.skip(memberType);
    }
  }
  const size = (name: string) => Object.keys(document[name] as JsonObject).length;
  assert.deepEqual(counts, { 8: size("paths"), 9: size("definitions") });
});
