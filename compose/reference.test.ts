import { deepEqual, equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { renderComposeKeys, sections } from "./reference.ts";

test("renderComposeKeys gives what docs/reference/compose.md holds; `npm run generate` writes it", () => {
  equal(readFileSync(new URL("../docs/reference/compose.md", import.meta.url), "utf8"), renderComposeKeys());
});

test("every key has words for what it becomes, and no words are of a key that is left out", () => {
  for (const { title, fields, meanings } of sections) {
    const used = Object.entries(fields).filter(([, { leftOut }]) => leftOut === undefined);
    deepEqual(Object.keys(meanings).sort(), used.map(([key]) => key).sort(), title);
  }
});
