// A Compose project on a cluster: services in their order across nodes, ports on every node, volumes that stay where their data is.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
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

const made = (word: string) => `
name: made
services:
  app:
    build:
      context: ./context
      dockerfile_inline: |
        FROM naru.local/probe:1
        ARG WORD
        LABEL word=$$WORD
        COPY file /file
        ENTRYPOINT ["/probe"]
      args: { WORD: ${word} }
    command: [serve, "7000", ${word}]
    ports: ["8098:7000"]
    deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }
`;

test("naru compose up builds what is not there, runs it on all nodes, and up --build what changed", async () => {
  mkdirSync(join(cluster.place.dataDir, "context"), { recursive: true });
  writeFileSync(join(cluster.place.dataDir, "context", "file"), "first");
  writeFileSync(file, made("one"));
  const imagesOf = async () =>
    (await cluster.client.list(pods, { namespace: "made" })).items
      .filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
      .map(({ spec }) => ({ node: spec?.nodeName, image: spec?.containers[0]?.image ?? "" }));
  const first = await compose("up", "--progress", "plain");
  assert.match(first, /^app built \(\d+ of \d+ steps known, on node-1\)$/m);
  assert.match(first, /#\d+ app \[stage-0 \d+\/\d+\] COPY file \/file/);
  const before = await imagesOf();
  assert.deepEqual(new Set(before.map(({ node }) => node)), new Set(["node-1", "node-2"]));
  assert.match(before[0]?.image ?? "", /^naru\.local\/made-app:[0-9a-f]{12}$/);
  const again = await compose("up");
  assert.doesNotMatch(again, /app built/);
  assert.match(again, /deployment.apps\/app unchanged/);
  writeFileSync(join(cluster.place.dataDir, "context", "file"), "second");
  assert.match(await compose("up", "--build"), /app built[\s\S]*deployment.apps\/app configured/);
  assert.notEqual((await imagesOf())[0]?.image, before[0]?.image);
});

test("naru compose exec, restart, stop, start, port, images, top and config do what their names say", async () => {
  const [node] = cluster.nodes;
  const shown = await cluster.naru(["compose", "-f", file, "exec", "app", "--", "/probe", "cat", "/file"]);
  assert.equal(done(shown), "second");
  const { stdout: ports } = await cluster.naru(["compose", "-f", file, "port", "app", "7000"]);
  assert.deepEqual(
    ports.trim().split("\n"),
    cluster.nodes.map(({ address }) => `${address}:8098`),
  );
  assert.match(await compose("images"), /^app-\S+ +app +naru\.local\/made-app:[0-9a-f]{12}/m);
  assert.match(await compose("config"), /args:\n +WORD: one/);
  assert.match(await compose("logs", "--since", "1h", "-t", "app"), /\d{4}-\d\d-\d\dT\S+ listening on 7000/);
  const running = async () =>
    (await cluster.client.list(pods, { namespace: "made" })).items.filter(
      ({ metadata, status }) => metadata?.deletionTimestamp === undefined && status?.phase === "Running",
    );
  const uids = new Set((await running()).map(({ metadata }) => metadata?.uid));
  await compose("restart", "app");
  await until("other pods", async () => {
    const now = await running();
    return now.length === 2 && now.every(({ metadata }) => !uids.has(metadata?.uid)) ? true : undefined;
  });
  await compose("stop");
  await until("no pods", async () => ((await running()).length === 0 ? true : undefined));
  await compose("start", "app");
  await until("both pods", async () => ((await running()).length === 2 ? true : undefined));
  await until("use", async () => (/app-\S+ +\d+m +\d+Mi/.test(await compose("top")) ? true : undefined));
  await compose("up", "--scale", "app=1");
  await until("one pod", async () => ((await running()).length === 1 ? true : undefined));
  const wrong = await cluster.naru(["compose", "-f", file, "restart", "nobody"]);
  assert.deepEqual([wrong.code, /the file has no service nobody: it has app/.test(wrong.stderr)], [2, true]);
  assert.notEqual(await fetchText(`http://${node?.address}:8098/`), "");
});

test("naru compose runs global services on each node and jobs to their end, and one-off commands with their exit code", async () => {
  writeFileSync(
    file,
    `
name: modes
services:
  agent: { image: "naru.local/probe:1", command: [sleep, "1000"], stop_grace_period: 1s, deploy: { mode: global } }
  batch: { image: "naru.local/probe:1", command: [sleep, "1"], deploy: { mode: replicated-job, replicas: 3 } }
  after:
    image: naru.local/probe:1
    command: [sleep, "1000"]
    stop_grace_period: 1s
    environment: { WORD: from the file }
    depends_on: { batch: { condition: service_completed_successfully } }
`,
  );
  await compose("up");
  const { items } = await cluster.client.list(pods, { namespace: "modes" });
  const of = (service: string) =>
    items.filter(({ metadata }) => metadata?.labels?.["app.kubernetes.io/name"] === service);
  assert.deepEqual(
    of("agent")
      .map(({ spec }) => spec?.nodeName)
      .sort(),
    ["node-1", "node-2"],
  );
  const ends = of("batch").map(({ status }) => status?.containerStatuses?.[0]?.state?.terminated?.finishedAt ?? "none");
  assert.deepEqual([ends.length, of("after").length], [3, 1]);
  for (const end of ends) assert.ok(end <= startOf(of("after")[0]), `${end} is before what waited for it`);
  assert.match(await compose("wait", "batch"), /job.batch\/batch has completed/);
  const run = (...words: readonly string[]) => cluster.naru(["compose", "-f", file, "run", "--no-deps", ...words]);
  const said = await run("--env", "MORE=given", "after", "--", "env", "MORE");
  assert.deepEqual([said.code, said.stdout], [0, "given\n"]);
  const failing = await run("after", "--", "exit", "7");
  assert.deepEqual([failing.code, failing.stderr], [7, ""]);
  await compose("stop", "agent");
  const left = await until("the agents to be gone", async () => {
    const now = await cluster.client.list(pods, { namespace: "modes" });
    return now.items.some(({ metadata }) => metadata?.name?.startsWith("agent-")) ? undefined : now.items;
  });
  assert.deepEqual(
    left.filter(({ metadata }) => metadata?.name?.includes("-run-")),
    [],
  );
  await compose("start", "agent");
  await compose("down");
  assert.deepEqual((await cluster.client.list(pods, { namespace: "modes" })).items, []);
});
