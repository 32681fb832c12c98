// Thresholds as people write them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hardDefault, parseThresholds, reliefOf, withMinimumReclaim } from "./thresholds.ts";

test("parseThresholds reads amounts, shares and the grace periods of soft ones", () => {
  assert.deepEqual(
    parseThresholds("memory.available<1.5Gi, nodefs.inodesFree<5%", "memory.available=1m30s,nodefs.inodesFree=2s"),
    [
      { signal: "memory.available", min: { count: 1.5 * 2 ** 30 }, text: "1.5Gi", graceMs: 90_000 },
      { signal: "nodefs.inodesFree", min: { share: 0.05 }, text: "5%", graceMs: 2000 },
    ],
  );
});

test("parseThresholds takes none and the defaults", () => {
  assert.deepEqual([parseThresholds("").length, parseThresholds(hardDefault).length], [0, 6]);
});

test("withMinimumReclaim adds what has to be freed beyond a threshold, in bytes or as a share", () => {
  const thresholds = parseThresholds("memory.available<100,nodefs.available<10%,pid.available<5");
  const disk = { available: 0, capacity: 1000 };
  assert.deepEqual(
    withMinimumReclaim(thresholds, "nodefs.available=5%,pid.available=7").map((each) => reliefOf(each, disk)),
    [100, 150, 12],
  );
});

test("parseThresholds says what is wrong with a text, and what it takes", () => {
  const messageOf = (...args: Parameters<typeof parseThresholds>) => {
    try {
      return parseThresholds(...args);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const begin =
    "memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, imagefs.inodesFree, pid.available";
  assert.deepEqual(
    [
      messageOf("disk<10%"),
      messageOf("memory.available<much"),
      messageOf("memory.available<101%"),
      messageOf("memory.available<1Gi", ""),
      messageOf("memory.available<1Gi", "memory.available=soon"),
    ],
    [
      `eviction threshold "disk<10%": it must begin with one of ${begin}`,
      'eviction threshold "memory.available<much" must end with an amount, such as 100Mi or 10%',
      'eviction threshold "memory.available<101%" must end with an amount, such as 100Mi or 10%',
      "soft threshold memory.available<1Gi needs a grace period, such as memory.available=90s",
      'eviction grace period "memory.available=soon" must look like memory.available=1m30s',
    ],
  );
});
