import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "./simulate.ts";

const options = { nodes: 100, durationMs: 20_000 };

test("simulate keeps every promise under faults, and all converges", { timeout: 300_000 }, async () => {
  for (const seed of [1, 2]) {
    const { failures, hash } = await simulate({ ...options, seed });
    assert.deepEqual({ seed, hash, failures }, { seed, hash, failures: [] });
  }
});

test("simulate does the same again for the same seed", { timeout: 300_000 }, async () => {
  const small = { nodes: 20, durationMs: 10_000, seed: 7 };
  const [once, again] = [await simulate(small), await simulate(small)];
  assert.equal(once.hash, again.hash);
  assert.notEqual((await simulate({ ...small, seed: 8 })).hash, once.hash);
});

test("simulate notices what is broken on purpose", { timeout: 300_000 }, async () => {
  const small = { nodes: 10, durationMs: 15_000, seed: 3 };
  const { failures } = await simulate({
    ...small,
    sabotage: ({ machines }) => {
      const [first, second] = machines;
      if (first !== undefined && second !== undefined) Object.assign(second, { pods: first.pods });
    },
  });
  assert.match(failures[0] ?? "", /^pod .* runs on node-1 and on node-2$/);
});
