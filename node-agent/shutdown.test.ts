// Who ends first when a machine goes down, and in what time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Pod } from "../api/kinds/generated/types.ts";
import { isSentTo, parseShutdownGroups, planShutdown, shutdownGroups } from "./shutdown.ts";

const pod = (uid: string, priority?: number): Pod => ({
  metadata: { uid },
  spec: { containers: [], ...(priority === undefined ? {} : { priority }) },
});

test("planShutdown ends critical pods last", () => {
  assert.deepEqual(
    planShutdown([pod("a"), pod("dns", 2_000_000_000), pod("b", 1000)], shutdownGroups(30_000, 10_000)),
    [
      { uids: ["a", "b"], graceMs: 20_000 },
      { uids: ["dns"], graceMs: 10_000 },
    ],
  );
});

test("planShutdown leaves out stages without pods, and keeps within the whole", () => {
  assert.deepEqual(planShutdown([pod("dns", 2_000_001_000)], shutdownGroups(5000, 9000)), [
    { uids: ["dns"], graceMs: 5000 },
  ]);
});

test("planShutdown ends groups of priorities one after the other, and whoever is below all of them with the first", () => {
  const groups = parseShutdownGroups("10000=20, 0=60,100000=5");
  const pods = [pod("high", 200_000), pod("low", -5), pod("none"), pod("middle", 10_000), pod("almost", 9999)];
  assert.deepEqual(planShutdown(pods, groups), [
    { uids: ["low", "none", "almost"], graceMs: 60_000 },
    { uids: ["middle"], graceMs: 20_000 },
    { uids: ["high"], graceMs: 5000 },
  ]);
});

test("parseShutdownGroups says what it takes", () => {
  assert.throws(() => parseShutdownGroups("0=30,high=5"), /"high=5" must look like PRIORITY=SECONDS/);
});

test("isSentTo finds pods among endpoints that are ready", () => {
  const slice = (uid: string, ready: boolean): EndpointSlice => ({
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready }, targetRef: { uid } }],
  });
  const ours = new Set(["a"]);
  assert.deepEqual(
    [
      isSentTo(ours, []),
      isSentTo(ours, [slice("b", true)]),
      isSentTo(ours, [slice("a", false)]),
      isSentTo(ours, [slice("b", true), slice("a", true)]),
    ],
    [false, false, false, true],
  );
});
