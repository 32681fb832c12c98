import { deepEqual, throws } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseManifests, readManifests } from "./manifests.ts";

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

test("readManifests reads a folder's files by name, and those of its folders when told to", () => {
  const folder = mkdtempSync(join(tmpdir(), "naru-manifests-"));
  const write = (path: string) =>
    writeFileSync(
      join(folder, path),
      `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${path.replace(/\W/g, "-")} }\n`,
    );
  try {
    mkdirSync(join(folder, "deep/empty.yaml"), { recursive: true });
    throws(() => readManifests([folder]), /holds no \.yaml, \.yml or \.json file; -R looks into its folders, too$/);
    for (const path of ["b.yaml", "a.yml", "notes.txt", "deep/c.yaml"]) write(path);
    const names = (recursive: boolean) =>
      readManifests([folder], { recursive }).map(({ object }) => object.metadata?.name);
    deepEqual(
      [names(false), names(true)],
      [
        ["a-yml", "b-yaml"],
        ["a-yml", "b-yaml", "deep-c-yaml"],
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
