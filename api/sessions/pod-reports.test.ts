import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../client/client.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { openPodReports } from "./pod-reports.ts";

test("openPodReports acknowledges a report that was sent twice only once it is durable", async () => {
  const clock = virtualClock();
  const pod: Pod = {
    metadata: { namespace: "default", name: "web", uid: "u" },
    spec: { nodeName: "n", containers: [] },
  };
  let isUp = false;
  const store = async () => {
    if (!isUp) throw new Error("the store is down");
  };
  const client = { delete: store } as Partial<Client> as Client;
  const find = () => pod;
  const reports = openPodReports({ client, clock, random: seededRandom(1), log: silentLogger, find });
  const done: string[] = [];
  const gone = (name: string) => {
    const report = { node: "n", namespace: "default", name: "web", uid: "u", status: undefined };
    reports.report({ ...report, done: () => done.push(name) });
  };
  gone("first");
  await clock.advance(2000);
  gone("again");
  await clock.advance(2000);
  assert.deepEqual(done, []);
  isUp = true;
  await clock.advance(20_000);
  assert.deepEqual([done, reports.size], [["first", "again"], 0]);
});
