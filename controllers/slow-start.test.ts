import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { slowStart } from "./slow-start.ts";

/** How many jobs each batch had, when those from `failsFrom` on fail. */
async function batches(count: number, failsFrom = Number.POSITIVE_INFINITY) {
  const sizes: number[] = [];
  let jobs = 0;
  let open = 0;
  const { failure } = await slowStart(count, async () => {
    const number = jobs++;
    if (open === 0) sizes.push(0);
    sizes.push((sizes.pop() ?? 0) + 1);
    open++;
    await new Promise((resolve) => setImmediate(resolve));
    open--;
    if (number >= failsFrom) throw new Error(`job ${number}`);
  });
  return { sizes, failure: failure?.message };
}

test("slowStart doubles its batches, and makes no more than asked", async () => {
  deepEqual(await Promise.all([batches(0), batches(1), batches(12)]), [
    { sizes: [], failure: undefined },
    { sizes: [1], failure: undefined },
    { sizes: [1, 2, 4, 5], failure: undefined },
  ]);
});

test("slowStart ends with the batch in which something failed", async () => {
  deepEqual(await Promise.all([batches(100, 0), batches(100, 4)]), [
    { sizes: [1], failure: "job 0" },
    { sizes: [1, 2, 4], failure: "job 4" },
  ]);
});
