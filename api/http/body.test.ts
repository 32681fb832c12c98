// Bodies that are hard to read, and those that only look so.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { readBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";

function read(type: string, body: string, query = ""): Promise<unknown> {
  const request = Object.assign(Readable.from([Buffer.from(body)]), { headers: { "content-type": type } });
  return readBody({ request, query: new URLSearchParams(query), warnings: [] } as unknown as Exchange);
}

const json = "application/json";
const yaml = "application/yaml";

test("readBody refuses what is nested so deep that nobody could look through it", async () => {
  const deep = (depth: number) => `${'{"a":['.repeat(depth / 2)}"[[["${"]}".repeat(depth / 2)}`;
  const refusal = { reason: "BadRequest", message: "the body is nested deeper than 1000" };
  await assert.rejects(read(json, deep(1002)), refusal);
  await assert.rejects(read(json, deep(1002), "fieldValidation=Ignore"), refusal);
  await assert.rejects(read("application/apply-patch+yaml", deep(1002)), refusal);
  assert.equal(JSON.stringify(await read(json, deep(1000))).length, deep(1000).length);
});

test("readBody takes many keys of a YAML map, and names one that is doubled by its place", async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `  k${i}: v`);
  assert.equal(Object.keys((await read(yaml, `data:\n${many.join("\n")}\n`)) as object).length, 1);
  await assert.rejects(read(yaml, "data:\n  a: 1\n  b: 2\n  a: 3\n"), {
    reason: "BadRequest",
    message: `the body is not YAML: a map's keys must be unique, "a" at line 4, column 3`,
  });
  await assert.rejects(read(yaml, `a: ${"x".repeat(1.5 * 1024 * 1024)}`), { reason: "RequestEntityTooLarge" });
});

test("readBody reads JSON under the name of YAML as what it is", async () => {
  assert.deepEqual(await read(yaml, '{"a": "1.10"}'), { a: "1.10" });
  assert.deepEqual(await read(yaml, "a: '1.10'\nb: [x]\n"), { a: "1.10", b: ["x"] });
});
