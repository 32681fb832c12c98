import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../lib/virtual-clock.ts";
import { type Outbox, openOutbox } from "./session-outbox.ts";

const pod = (name: string) => ({ namespace: "d", name, uid: name });

function drain(outbox: Outbox, nowMs: number): readonly string[] {
  const said: string[] = [];
  for (let message = outbox.next(nowMs); message !== undefined; message = outbox.next(nowMs)) {
    const { case: type, value } = message.message;
    const text = type === "podStatus" ? Buffer.from(value.status).toString() : type === "podGone" ? value.name : type;
    said.push(`${message.sequence} ${type} ${text}`);
  }
  return said;
}

test("openOutbox keeps the latest status per pod, and says again what nobody acknowledged", () => {
  const outbox = openOutbox(virtualClock(), () => {});
  outbox.podStatus(pod("a"), { phase: "Pending" });
  outbox.podStatus(pod("a"), { phase: "Running" });
  outbox.podStatus(pod("b"), { phase: "Running" });
  const first = drain(outbox, 0);
  outbox.acknowledged(1n); // superseded: settles nothing
  outbox.acknowledged(3n);
  const early = outbox.resend(0) ? drain(outbox, 1) : [];
  const late = outbox.resend(1) ? drain(outbox, 1) : [];
  outbox.resendAll();
  const anew = drain(outbox, 2);
  outbox.acknowledged(2n); // of the session before
  assert.deepEqual(
    [first, early, late, anew, outbox.unacknowledged],
    [
      ['2 podStatus {"phase":"Running"}', '3 podStatus {"phase":"Running"}'],
      [],
      ['2 podStatus {"phase":"Running"}'],
      ['4 podStatus {"phase":"Running"}', '5 podStatus {"phase":"Running"}'],
      2,
    ],
  );
});

test("openOutbox forgets a pod once the server knows that it is gone", () => {
  const outbox = openOutbox(virtualClock(), () => {});
  outbox.podStatus(pod("a"), { phase: "Failed" });
  outbox.podGone(pod("a"));
  drain(outbox, 0);
  outbox.acknowledged(2n);
  outbox.resendAll();
  assert.deepEqual([drain(outbox, 1), outbox.unacknowledged], [[], 0]);
});

test("openOutbox lets events wait a moment behind statuses, but not behind the news that their pod is gone", async () => {
  const clock = virtualClock();
  let reports = 0;
  const outbox = openOutbox(clock, () => {
    reports++;
  });
  const event = () => outbox.event({ metadata: {}, involvedObject: {} });
  event();
  outbox.podStatus(pod("a"), { phase: "Running" });
  const first = drain(outbox, 0);
  await clock.advance(50);
  const later = drain(outbox, 50);
  event();
  outbox.podGone(pod("a"));
  const last = drain(outbox, 50);
  outbox.hurry();
  event();
  assert.deepEqual(
    [first, later, last, drain(outbox, 50), reports],
    [['1 podStatus {"phase":"Running"}'], ["0 event event"], ["0 event event", "2 podGone a"], ["0 event event"], 5],
  );
});

test("openOutbox keeps so many events at most, the newest", () => {
  const outbox = openOutbox(virtualClock(), () => {});
  for (let i = 0; i < 300; i++) outbox.event({ metadata: {}, involvedObject: {}, message: String(i) });
  outbox.hurry();
  const first = outbox.next(0)?.message;
  const text = first?.case === "event" ? Buffer.from(first.value.event).toString() : "";
  assert.deepEqual([JSON.parse(text).message, drain(outbox, 0).length], ["100", 199]);
});
