import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../lib/random.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { openEventNames } from "./event-names.ts";

test("openEventNames gives names that sort by time, also within a millisecond", () => {
  const name = openEventNames({ clock: virtualClock(1_790_000_000_000), random: seededRandom(1) });
  const names = Array.from({ length: 100 }, () => name("web-1"));
  assert.deepEqual(
    [new Set(names).size, names.toSorted(), names.every((each) => /^web-1\.18[0-9a-f]{14}$/.test(each))],
    [100, names, true],
  );
});
