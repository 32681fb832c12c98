import assert from "node:assert/strict";
import { test } from "node:test";
import { planCollect } from "./image-collection.ts";

test("a disk above the high mark is freed down to the low one in planCollect", () => {
  const marks = { highPercent: 85, lowPercent: 80 };
  const plan = (freeBytes: number) => planCollect({ totalBytes: 1000, freeBytes }, marks);
  assert.deepEqual(
    [plan(500), plan(151), plan(150), plan(0), planCollect({ totalBytes: 0, freeBytes: 0 }, marks)],
    [0, 0, 50, 200, 0],
  );
});
