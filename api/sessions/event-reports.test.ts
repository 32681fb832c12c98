// How many events a node may send, whatever its server's time of day does.
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { openEventReports } from "./event-reports.ts";
import { testClient } from "./test-client.ts";

test("report takes a burst and then so many per second, also after the time of day jumped back", async () => {
  const virtual = virtualClock();
  let backMs = 0;
  const clock = { ...virtual, now: () => virtual.now() - backMs };
  const client = testClient();
  const reports = openEventReports({
    ...{ client, clock, random: seededRandom(1), log: silentLogger },
    ...{ findPod: () => undefined, nodeUid: () => "u1" },
  });
  const send = (count: number) => {
    for (let i = 0; i < count; i++)
      reports.report("n1", { metadata: {}, reason: `R${i}`, involvedObject: { kind: "Node", name: "n1" } });
  };
  send(60);
  const afterBurst = reports.dropped;
  backMs = 3_600_000;
  await virtual.advance(2000);
  send(30);
  await virtual.settle();
  deepEqual([afterBurst, reports.dropped, client.writes.length], [10, 20, 70]);
});
