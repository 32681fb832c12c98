import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "./clock.ts";
import { below, seededRandom } from "./random.ts";
import { virtualClock } from "./virtual-clock.ts";

test("virtualClock runs timers by time, then by the order in which they were set", async () => {
  const clock = virtualClock(1000);
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${clock.now()}`);
  clock.after(20, note("c"));
  clock.after(10, note("a"));
  clock.after(10, note("b"));
  clock.after(15, note("cancelled")).cancel();
  clock.after(31, note("later"));
  await clock.advance(30);
  assert.deepEqual([ran, clock.now(), clock.pending], [["a@1010", "b@1010", "c@1020"], 1030, 1]);
});

test("virtualClock lets promises settle between timers, so that a sleeper's next sleep counts", async () => {
  const clock = virtualClock(0);
  const ran: string[] = [];
  const sleeper = async (name: string, stepMs: number) => {
    for (let i = 0; i < 3; i++) {
      await sleep(clock, stepMs);
      ran.push(`${name}@${clock.monotonicMs()}`);
    }
  };
  const both = Promise.all([sleeper("a", 10), sleeper("b", 15)]);
  assert.equal(await clock.runUntilIdle(1000), true);
  await both;
  assert.deepEqual(ran, ["a@10", "b@15", "a@20", "b@30", "a@30", "b@45"]);
});

test("virtualClock keeps order among many timers", async () => {
  const clock = virtualClock(0);
  const random = seededRandom(1);
  const ran: number[] = [];
  const delays = Array.from({ length: 500 }, () => below(random, 100));
  for (const delay of delays) clock.after(delay, () => ran.push(delay));
  await clock.runUntilIdle(100);
  assert.deepEqual(
    ran,
    delays.toSorted((a, b) => a - b),
  );
});

test("virtualClock moves on when a timer waits for what rounding left of a delay", async () => {
  const clock = virtualClock(0);
  await clock.advance(1e6 / 3);
  let runs = 0;
  const again = () => {
    if (++runs < 3) clock.after(1e-12, again);
  };
  clock.after(1e-12, again);
  await clock.advance(1);
  assert.equal(runs, 3);
  const before = clock.monotonicMs();
  clock.after(1e-12, () => assert.ok(clock.monotonicMs() > before));
  await clock.advance(1);
});
