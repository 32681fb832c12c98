// A Compose project on a cluster: services in their order across nodes, ports on every node, volumes that stay where their data is.
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { done, fetchText, importProbe, until } from "./questions.ts";

let cluster: TestCluster;
let file: string;
before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await importProbe(cluster);
  file = join(cluster.place.dataDir, "compose.yaml");
});
after(() => cluster?.[Symbol.asyncDispose]());

const project = (text: string, more = "") => `
name: shop
services:
  web:
    image: naru.local/probe:1
    command: [serve, "8080", ${text}]
    ports: ["8099:8080"]
    deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }
    depends_on:
      db: { condition: service_healthy }
      prepare: { condition: service_completed_successfully }
  prepare:
    image: naru.local/probe:1
    command: [sleep, "1"]
    restart: "no"
    depends_on: [db]
  db:
    image: naru.local/probe:1
    command: [serve, "5432", db]
    volumes: ["data:/data"]
    healthcheck: { test: [CMD, /probe, get, 127.0.0.1, "5432"], interval: 1s }
${more}
volumes: { data: {} }
`;

async function compose(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.naru(["compose", "-f", file, ...args], { timeoutMs: 90_000 });
  return done({ code, stdout, stderr: `${stderr}\n` }) + stderr;
}

async function podsOfService(service: string): Promise<readonly Pod[]> {
  const labelSelector = `app.kubernetes.io/part-of=shop,app.kubernetes.io/name=${service}`;
  const { items } = await cluster.client.list(pods, { namespace: "shop", labelSelector });
  return items.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
}

const startOf = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.running?.startedAt ?? "";
const volumesOn = (node: string) => readdirSync(join(cluster.place.dataDir, node, "volumes"));

test("naru compose up starts services after those that they need, on all nodes", async () => {
  writeFileSync(file, project("one"));
  await compose("up");
  const [web, [db], [prepare]] = [
    await podsOfService("web"),
    await podsOfService("db"),
    await podsOfService("prepare"),
  ];
  assert.deepEqual(new Set(web.map(({ spec }) => spec?.nodeName)), new Set(["node-1", "node-2"]));
  assert.equal(prepare?.status?.phase, "Succeeded");
  const finished = prepare?.status?.containerStatuses?.[0]?.state?.terminated?.finishedAt ?? "";
  for (const pod of web) assert.ok(startOf(pod) >= finished && finished > startOf(db), "in order");
});

test("a published port answers on every node, and services reach one another by their names", async () => {
  for (const { address } of cluster.nodes)
    await until(`port 8099 of ${address}`, async () =>
      (await fetchText(`http://${address}:8099/`))?.startsWith("one ") ? true : undefined,
    );
  const [web] = await podsOfService("web");
  const answer = await cluster.naru([
    "exec",
    "-n",
    "shop",
    web?.metadata?.name ?? "",
    "--",
    "/probe",
    "get",
    "db",
    "5432",
  ]);
  assert.match(done(answer), /^db /);
});

test("naru compose ps and logs tell of the services", async () => {
  assert.match(
    await compose("ps"),
    /^NAME +SERVICE +STATUS +NODE +PORTS *\ndb-.* db +Running +node-\d\b.*\nprepare +prepare +Completed.*\nweb-.*8099->8080\/tcp/m,
  );
  assert.match(await compose("logs", "db"), /listening on 5432/);
});

test("naru compose up again changes what changed, and names what is not in the file any more", async () => {
  writeFileSync(
    file,
    project("two")
      .replace(/ {2}prepare:\n[\s\S]*?depends_on: \[db\]\n/, "")
      .replace(/ +prepare: \{.*\n/, ""),
  );
  const output = await compose("up");
  assert.match(output, /deployment.apps\/db unchanged/);
  assert.match(output, /deployment.apps\/web configured/);
  assert.match(output, /Notice: pod\/prepare is of this project but not in its file: --remove-orphans deletes it/);
  const [node] = cluster.nodes;
  await until("the new text", async () =>
    (await fetchText(`http://${node?.address}:8099/`))?.startsWith("two ") ? true : undefined,
  );
});

test("a volume stays with its data when the project goes, and its pods come back to it", async () => {
  const node = (await podsOfService("db"))[0]?.spec?.nodeName ?? "";
  const [volume = ""] = volumesOn(node);
  writeFileSync(join(cluster.place.dataDir, node, "volumes", volume, "kept"), "");
  assert.match(await compose("down"), /volumes are kept: data/);
  assert.deepEqual(await podsOfService("web"), []);
  writeFileSync(file, project("three"));
  await compose("up");
  assert.equal((await podsOfService("db"))[0]?.spec?.nodeName, node);
  assert.deepEqual(
    [volumesOn(node), readdirSync(join(cluster.place.dataDir, node, "volumes", volume))],
    [[volume], ["kept"]],
  );
  await compose("down", "--volumes");
  await until("the volume to be gone", () => (volumesOn(node).length === 0 ? true : undefined));
  await until("the namespace to be gone", async () =>
    (await cluster.naru(["get", "ns", "shop"])).code === 1 ? true : undefined,
  );
});

test("naru apply takes Compose files, and refuses what is wrong in them by line and column", async () => {
  writeFileSync(file, project("four", "    prots: []\n"));
  const wrong = await cluster.naru(["apply", "-f", file]);
  assert.deepEqual(
    [wrong.code, /compose.yaml:\d+:5: services.db has no key prots: did you mean ports\?/.test(wrong.stderr)],
    [1, true],
  );
  writeFileSync(file, project("four"));
  done(await cluster.naru(["apply", "-f", file]));
  await until("web of four", async () => ((await podsOfService("web")).length === 2 ? true : undefined));
});
