import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { openLiveness } from "./liveness.ts";

test("openLiveness tells once of each node that falls silent, when it does", async () => {
  const clock = virtualClock(0);
  const silent: string[] = [];
  const liveness = openLiveness({
    clock,
    notReadyAfterMs: 1000,
    onSilent: (node, silentMs) => silent.push(`${node} ${silentMs} at ${clock.monotonicMs()}`),
  });
  liveness.begin("beats");
  liveness.begin("stops");
  liveness.extend("goodbye", 3000);
  for (let i = 0; i < 30; i++) {
    await clock.advance(200);
    liveness.heard("beats");
    if (i === 0) liveness.heard("stops");
  }
  assert.deepEqual(silent, ["stops 1000 at 1200", "goodbye 3000 at 3000"]);
});

test("openLiveness gives nodes time after this process itself stood still", async () => {
  const clock = virtualClock(0);
  const silent: string[] = [];
  // The machine slept for 5 s: time has gone on, timers and messages have not.
  let sleptMs = 0;
  const sleepy = { ...clock, after: clock.after, monotonicMs: () => clock.monotonicMs() + sleptMs };
  const liveness = openLiveness({ clock: sleepy, notReadyAfterMs: 1000, onSilent: (node) => silent.push(node) });
  liveness.begin("beats");
  liveness.begin("gone");
  await clock.advance(900);
  sleptMs = 5000;
  await clock.advance(150);
  liveness.heard("beats");
  await clock.advance(700);
  assert.deepEqual(silent, ["gone"]);
});
