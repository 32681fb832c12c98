import assert from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { events, pods } from "../api/kinds/generated/resources.ts";
import type { Pod } from "../api/kinds/generated/types.ts";
import { ApiError } from "../api/kinds/status.ts";
import { silentLogger } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { openTestApi } from "../test/api.ts";
import type { Client } from "./client.ts";
import { inProcessClient } from "./in-process.ts";
import { createRecorder } from "./recorder.ts";

const pod = (name: string): Pod => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers: [] },
});

async function setUp() {
  const opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  const clock = virtualClock();
  const create = (through: Client = client) =>
    createRecorder({ client: through, component: "test", clock, random: seededRandom(1), log: silentLogger });
  const stored = async () => {
    const { items } = await client.list(events);
    return items.map((event) => `${event.involvedObject.name} ${event.type} ${event.reason} x${event.count}`).sort();
  };
  return { client, clock, create, stored, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

test("createRecorder.record counts what happens again, also while the first is being written", async () => {
  await using set = await setUp();
  const recorder = set.create();
  const fail = (name: string) =>
    recorder.record({ resource: pods, object: pod(name) }, "Warning", "BackOff", "restarting failed container");
  for (let i = 0; i < 3; i++) fail("a");
  fail("b");
  await recorder[Symbol.asyncDispose]();
  await set.clock.advance(60_000);
  fail("a");
  recorder.record({ resource: pods, object: pod("a") }, "Normal", "Started", "started");
  await recorder[Symbol.asyncDispose]();
  assert.deepEqual(await set.stored(), ["a Normal Started x1", "a Warning BackOff x4", "b Warning BackOff x1"]);
  const event = (await set.client.list(events)).items.find((found) => found.count === 4);
  assert.deepEqual(
    [event?.firstTimestamp, event?.lastTimestamp, event?.message, event?.source],
    ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "restarting failed container", { component: "test" }],
  );
});

test("createRecorder.record bounds what one object may cause", async () => {
  await using set = await setUp();
  const recorder = set.create();
  for (let i = 0; i < 100; i++)
    recorder.record({ resource: pods, object: pod("noisy") }, "Normal", "Loop", `round ${i}`);
  recorder.record({ resource: pods, object: pod("quiet") }, "Normal", "Started", "started");
  await recorder[Symbol.asyncDispose]();
  const stored = await set.stored();
  assert.deepEqual([stored.length, stored.at(-1)], [26, "quiet Normal Started x1"]);
});

test("createRecorder.record begins anew when its Event is gone or could not be written", async () => {
  await using set = await setUp();
  let failing = true;
  const flaky: Client = {
    ...set.client,
    create: (...given) =>
      failing ? Promise.reject(new ApiError("ServiceUnavailable", "disk is full")) : set.client.create(...given),
  };
  const recorder = set.create(flaky);
  const fail = async () => {
    recorder.record({ resource: pods, object: pod("a") }, "Warning", "Failed", "no");
    await recorder[Symbol.asyncDispose]();
  };
  await fail();
  failing = false;
  await fail();
  for (const { metadata } of (await set.client.list(events)).items) {
    await set.client.delete(events, { namespace: "default", name: metadata.name ?? "" });
  }
  await fail();
  const gone = await set.stored();
  await fail();
  assert.deepEqual([gone, await set.stored()], [[], ["a Warning Failed x1"]]);
});
