// `naru up` leaves nothing on the machine when it ends, also after everything was killed and started again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { newPlace, startAt, type TestCluster } from "./cluster.ts";
import { web } from "./manifests.ts";
import { done, importProbe, untilReady } from "./questions.ts";
import { findRemains, nothing, removeRemains } from "./remains.ts";

test("naru up leaves nothing but its state, ended or killed", async () => {
  const place = await newPlace();
  try {
    const first = await startAt(place);
    await run(first);
    assert.equal(await first.stop("SIGTERM"), 0);
    assert.deepEqual(await findRemains(place), nothing);

    const second = await startAt(place);
    await untilReady(second, "app=web", { count: 3 });
    await second.stop("SIGKILL");
    for (const { name } of second.nodes) second.killNode(name);
    assert.notDeepEqual(await findRemains(place), nothing);

    const third = await startAt(place);
    await untilReady(third, "app=web", { count: 3 });
    assert.equal(await third.stop("SIGTERM"), 0);
    assert.deepEqual(await findRemains(place), nothing);
  } finally {
    await removeRemains(place);
  }
});

async function run(cluster: TestCluster): Promise<void> {
  await importProbe(cluster);
  done(await cluster.naru(["apply", "-f", "-"], { input: web({ replicas: 3 }) }));
  await untilReady(cluster, "app=web", { count: 3 });
}
