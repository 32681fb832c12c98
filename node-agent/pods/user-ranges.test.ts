import assert from "node:assert/strict";
import { test } from "node:test";
import { freeRange, parseRange } from "./user-ranges.ts";

test("freeRange gives each pod users of its own, none of the host's", () => {
  const used = new Set<number>();
  for (let i = 0; i < 1000; i++) used.add(freeRange(used, "node-1")?.hostId ?? 0);
  const all = [...used];
  assert.deepEqual(
    [used.size, all.every((id) => id >= 65_536 && id % 65_536 === 0 && id + 65_535 < 2 ** 32 - 1)],
    [1000, true],
  );
  assert.notEqual(freeRange(new Set(), "node-1")?.hostId, freeRange(new Set(), "node-2")?.hostId);
});

test("parseRange reads what was noted, and nothing else", () => {
  assert.deepEqual(["131072\n", "131073", "0", "", "x"].map(parseRange), [
    { hostId: 131_072, size: 65_536 },
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
