// What users do wrong, and the words that tell them.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { pod, web } from "./manifests.ts";
import { done, importProbe, podsOf, until } from "./questions.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await importProbe(cluster);
});
after(() => cluster?.[Symbol.asyncDispose]());

const apply = (input: string, ...args: string[]) => cluster.naru(["apply", "-f", "-", ...args], { input });

test("naru apply names file, line and column of broken YAML", async () => {
  const path = join(cluster.place.dataDir, "broken.yaml");
  writeFileSync(path, "apiVersion: v1\nkind: Pod\nmetadata: { name: [}\n");
  const { code, stderr } = await cluster.naru(["apply", "-f", path]);
  assert.equal(code, 1);
  assert.match(stderr, /broken\.yaml:3:\d+/);
});

test("naru apply names the path of a wrong field", async () => {
  const { code, stderr } = await apply(web({ replicas: 1 }).replace("replicas: 1", "replicas: many"));
  assert.equal(code, 1);
  assert.match(stderr, /spec\.replicas/);
});

test("kubectl refuses an unknown field under strict validation", async () => {
  const input = web({ replicas: 1, name: "odd" }).replace("replicas: 1", "replicas: 1\n  replicaz: 2");
  const { code, stderr } = await cluster.kubectl("new", ["apply", "-f", "-"], { input });
  assert.equal(code, 1);
  assert.match(stderr, /spec\.replicaz/);
});

test("an unschedulable pod says what each node lacks", async () => {
  const container = { resources: { requests: { cpu: "1000" } } };
  done(await apply(pod({ name: "huge", args: ["sleep", "1"], container })));
  const message = await until("the reason", async () => {
    const [huge] = await podsOf(cluster, "app=huge");
    return conditionOf(huge?.status?.conditions, "PodScheduled")?.message;
  });
  assert.match(message, /^0\/2 nodes fit: 2 need 1000 CPU, have .* free/);
  await until("the Event", async () =>
    done(await cluster.naru(["describe", "pod", "huge"])).includes("FailedScheduling") ? true : undefined,
  );
});

test("a crashing container is shown in CrashLoopBackOff with its exit code", async () => {
  done(await apply(pod({ name: "crash", args: ["exit", "3"] })));
  const status = await until("CrashLoopBackOff", async () => {
    const found = (await podsOf(cluster, "app=crash"))[0]?.status?.containerStatuses?.[0];
    return found?.state?.waiting?.reason === "CrashLoopBackOff" ? found : undefined;
  });
  assert.equal(status.lastState?.terminated?.exitCode, 3);
});
