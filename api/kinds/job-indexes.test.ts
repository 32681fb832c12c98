import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { countIndexes, formatIndexes, parseIndexes, readIndexes } from "./job-indexes.ts";

test("formatIndexes joins three and more to a range", () => {
  deepEqual(
    [formatIndexes([]), formatIndexes([7, 1]), formatIndexes([0, 1, 3, 4, 5, 4]), formatIndexes([2, 1, 0])],
    ["", "1,7", "0,1,3-5", "0-2"],
  );
});

test("parseIndexes reads what formatIndexes writes, and says why it cannot", () => {
  deepEqual(
    [
      parseIndexes("", 5),
      parseIndexes("0,1,3-5", 6),
      parseIndexes("3-5", 5),
      parseIndexes("2,1", 5),
      parseIndexes("2-1", 5),
      parseIndexes("x", 5),
    ],
    [
      [],
      [
        [0, 0],
        [1, 1],
        [3, 5],
      ],
      "index 5 is not below completions (5)",
      "1 is not above what stands before it",
      "range 2-1 ends before it begins",
      'cannot parse "x": takes numbers and ranges such as "1,3-5"',
    ],
  );
});

test("readIndexes leaves out what a smaller Job no longer has, and countIndexes counts without listing", () => {
  deepEqual(
    [[...readIndexes("0,2-9", 5)], [...readIndexes("broken", 5)], countIndexes([[0, 999_999_999]])],
    [[0, 2, 3, 4], [], 1_000_000_000],
  );
});
