import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { type Again, startReconcileLoop } from "./reconcile-loop.ts";

function setUp(reconcile: (key: string, signal: AbortSignal) => Promise<Again>, concurrency = 2) {
  const clock = virtualClock();
  const passes: boolean[] = [];
  const loop = startReconcileLoop({
    name: "test",
    reconcile,
    concurrency,
    clock,
    random: seededRandom(1),
    log: silentLogger,
    onPass: ({ failed }) => passes.push(failed),
  });
  return { clock, loop, passes, [Symbol.asyncDispose]: () => loop[Symbol.asyncDispose]() };
}

test("startReconcileLoop joins keys of one turn, and runs once more for a key that came during its pass", async () => {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  await using set = setUp(async (key) => {
    begun.push(key);
    await new Promise<void>((resolve) => ends.push(resolve));
    return undefined;
  });
  for (const key of ["a", "a", "b", "a"]) set.loop.add(key);
  await set.clock.settle();
  // Added before the first pass ended, so it may have looked before the change.
  set.loop.add("b");
  set.loop.add("b");
  const inFlight = [...begun];
  for (const end of ends.splice(0)) end();
  await set.clock.settle();
  for (const end of ends.splice(0)) end();
  await set.clock.settle();
  for (const end of ends.splice(0)) end();
  assert.deepEqual([inFlight, begun.filter((key) => key === "b").length], [["a", "b"], 2]);
  assert.equal(set.loop.depth <= 1, true);
  await set.clock.settle();
  for (const end of ends.splice(0)) end();
});

test("startReconcileLoop runs at most so many passes at a time, never one key twice", async () => {
  let running = 0;
  let most = 0;
  const keys = new Set<string>();
  await using set = setUp(async (key) => {
    assert.equal(keys.has(key), false);
    keys.add(key);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    keys.delete(key);
    return undefined;
  }, 3);
  for (let i = 0; i < 50; i++) set.loop.add(`${i % 10}`);
  while (set.loop.depth > 0) await set.clock.settle();
  assert.deepEqual([most, set.passes.includes(true)], [3, false]);
});

test("startReconcileLoop tries a failed key again with growing waits, others at once", async () => {
  const tries: number[] = [];
  await using set = setUp(async (key) => {
    if (key === "good") return undefined;
    tries.push(set.clock.monotonicMs());
    if (tries.length < 6) throw new Error("not yet");
    return undefined;
  });
  set.loop.add("bad");
  set.loop.add("good");
  await set.clock.advance(60_000);
  const waits = tries.slice(1).map((at, i) => at - (tries[i] ?? 0));
  assert.equal(tries.length, 6);
  assert.ok(
    waits.every((wait, i) => i < 2 || wait > (waits[i - 2] ?? 0)),
    `${waits}`,
  );
  assert.deepEqual(set.passes, [true, false, true, true, true, true, false]);
});

test("startReconcileLoop runs again when asked to, the soonest wish wins", async () => {
  const tries: number[] = [];
  await using set = setUp(async () => {
    tries.push(set.clock.monotonicMs());
    return tries.length < 3 ? { afterMs: 1000 } : undefined;
  });
  set.loop.addAfter("a", 500);
  set.loop.addAfter("a", 100);
  set.loop.addAfter("a", 900);
  await set.clock.advance(10_000);
  assert.deepEqual(tries, [100, 1100, 2100]);
});

test("startReconcileLoop aborts its passes and forgets its timers when it is closed", async () => {
  let aborted = false;
  const set = setUp(async (_key, signal) => {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted = true;
    throw signal.reason;
  });
  set.loop.add("a");
  set.loop.addAfter("b", 1000);
  await set.clock.settle();
  await set.loop[Symbol.asyncDispose]();
  set.loop.add("c");
  assert.deepEqual([aborted, set.clock.pending, set.loop.depth], [true, 0, 0]);
});
