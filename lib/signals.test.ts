import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { signalNumber } from "./signals.ts";

test("names, numbers and real-time signals are known, other words are none signalNumber", () => {
  const known = ["SIGTERM", "term", "quit", "9", "SIGRTMIN+3", "SIGRTMAX-4", "RTMIN"];
  deepEqual(known.map(signalNumber), [15, 15, 3, 9, 37, 60, 34]);
  const none = ["SIGNONE", "0", "65", "", "SIGRTMAX+1", "constructor", "SIG"];
  deepEqual(
    none.map(signalNumber),
    none.map(() => undefined),
  );
});
