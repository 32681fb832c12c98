import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "./manifests.ts";

test("parseManifests reads several documents and takes lists apart", () => {
  const text =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
  deepEqual(
    parseManifests(text, "x.yaml").map(({ place, object }) => [place, object.kind, object.metadata?.name]),
    [
      ["x.yaml:1", "ConfigMap", "a"],
      ["x.yaml:6", "Secret", "b"],
    ],
  );
});

test("parseManifests names file, line and column of broken YAML", () => {
  throws(() => parseManifests("apiVersion: v1\nkind: [Pod\nmetadata: x\n", "web.yaml"), /^Error: web\.yaml:\d+:\d+: /);
});

test("parseManifests says what an object lacks and where it begins", () => {
  throws(() => parseManifests("kind: Pod\nmetadata: {name: a}\n", "web.yaml"), /web\.yaml:1: apiVersion is missing/);
  throws(
    () => parseManifests("- a\n", "web.yaml"),
    /web\.yaml:1: expected an object with apiVersion and kind, got a list/,
  );
});

test("parseManifests gives the same for JSON", () => {
  deepEqual(parseManifests('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}', "a.json")[0]?.object, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a" },
  });
});
