import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./similar.ts";

test("nearest forgives slips of the fingers and nothing more", () => {
  const words = ["get", "delete", "describe", "output", "pods"];
  assert.deepEqual(
    ["gte", "delte", "discribe", "outptu", "pdos", "pods", "x", "namespaces", ""].map((word) => nearest(word, words)),
    ["get", "delete", "describe", "output", "pods", "pods", undefined, undefined, undefined],
  );
});
