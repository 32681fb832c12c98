import assert from "node:assert/strict";
import { test } from "node:test";
import { collectWhenQuiet } from "./idle-memory.ts";
import { virtualClock } from "./virtual-clock.ts";

test("collectWhenQuiet collects once after work, when it has become quiet, and not again before there was more of it or of memory", async () => {
  const clock = virtualClock(0);
  const collections: number[] = [];
  let cpuMs = 900;
  let heapMegabytes = 20;
  const work = async (shares: readonly number[]) => {
    for (const share of shares) {
      cpuMs += share * 3000;
      await clock.advance(3000);
    }
  };
  using _collecting = collectWhenQuiet({
    clock,
    cpuMs: () => cpuMs,
    heapBytes: () => heapMegabytes * 1024 * 1024,
    collect: () => {
      collections.push(clock.now());
      cpuMs += 50;
    },
  });
  await work([0.5, 0.05, 0, 0.05]);
  assert.deepEqual(collections, [6000]);
  await work([0.9, 0.9, 0, 0]);
  assert.deepEqual(collections, [6000, 21_000]);
  await work(new Array(20).fill(0.05));
  assert.deepEqual(collections, [6000, 21_000]);
  heapMegabytes = 27;
  await work([0.05, 0.05]);
  assert.deepEqual(collections, [6000, 21_000, 87_000]);
});
