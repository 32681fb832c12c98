// The life of a release with a real Helm: it makes objects in the order that it knows, waits for them, keeps its history in Secrets.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { helm } from "../kubectl.ts";
import { runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { done } from "./questions.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster({ nodes: 1 });
});
after(() => cluster?.[Symbol.asyncDispose]());

test("helm installs, upgrades, rolls back and uninstalls a chart", async () => {
  const { dataDir } = cluster.place;
  const archive = join(dataDir, "hello.tar");
  writeFileSync(archive, await buildHelloImage());
  done(await cluster.naru(["image", "import", archive]));
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig, HOME: dataDir };
  const run = async (...words: readonly string[]) => done(await runProgram(await helm(), words, { env }));
  const kubectl = async (...words: readonly string[]) => done(await cluster.kubectl("new", words));
  const replicas = () => kubectl("get", "deployment", "web-shop", "-o", "jsonpath={.status.readyReplicas}");
  const chart = join(dataDir, "shop");
  await run("create", chart);
  const image = ["--set", "image.repository=naru.local/hello,image.tag=1,service.port=8080"];
  await run("install", "web", chart, ...image, "--set", "replicaCount=2", "--wait");
  const installed = await replicas();
  await run("upgrade", "web", chart, ...image, "--set", "replicaCount=3", "--wait");
  const upgraded = await replicas();
  await run("rollback", "web", "1", "--wait");
  const rolledBack = await replicas();
  const history = (await run("history", "web", "-o", "json")).match(/"status":"\w+"/g);
  await run("uninstall", "web", "--wait");
  const left = await kubectl("get", "deployments,services,pods,secrets,serviceaccounts", "-o", "name");
  assert.deepEqual(
    { installed, upgraded, rolledBack, history, left: left.trim().split("\n") },
    {
      installed: "2",
      upgraded: "3",
      rolledBack: "2",
      history: ['"status":"superseded"', '"status":"superseded"', '"status":"deployed"'],
      left: ["service/kubernetes", "serviceaccount/default"],
    },
  );
});
