// A cluster whose state is in a real etcd, which is killed in the middle.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startEtcd } from "../etcd-server.ts";
import { startCluster } from "./cluster.ts";
import { web } from "./manifests.ts";
import { done, importProbe, podsOf, until, untilReady } from "./questions.ts";
import { startWriters } from "./writers.ts";

test("a cluster on etcd keeps its pods and all that it acknowledged while etcd is killed and started again", async () => {
  await using etcd = await startEtcd();
  await using cluster = await startCluster({ nodes: 2, args: ["--store", `etcd://${etcd.host}`] });
  await importProbe(cluster);
  done(await cluster.naru(["apply", "-f", "-"], { input: web({ replicas: 2 }) }));
  const before = (await untilReady(cluster, "app=web", { count: 2 })).map(({ metadata }) => metadata?.uid).sort();
  const writers = startWriters(cluster);
  for (let round = 0; round < 2; round++) {
    await writers.more(20);
    await etcd.kill();
    await etcd.restart();
  }
  await writers.more(20);
  assert.deepEqual(await writers.stop(), []);
  await until("a write is taken", async () => {
    const { code } = await cluster.naru(["scale", "deployment/web", "--replicas", "4"]);
    return code === 0 ? true : undefined;
  });
  await untilReady(cluster, "app=web", { count: 4 });
  const uids = (await podsOf(cluster, "app=web")).map(({ metadata }) => metadata?.uid);
  assert.deepEqual(
    before.filter((uid) => !uids.includes(uid)),
    [],
  );
});
