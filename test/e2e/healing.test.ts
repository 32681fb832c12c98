// What survives: a node that dies or is cut off, a killed agent, server or container, a container that takes too much memory.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { pod, web } from "./manifests.ts";
import { done, fetchText, importProbe, podsOf, until, untilNode, untilReady } from "./questions.ts";
import { agentOf, containersOf, launcherOf, type Place, serverOf } from "./remains.ts";
import { startWriters } from "./writers.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster();
  await importProbe(cluster);
  done(await cluster.naru(["apply", "-f", "-"], { input: web({ replicas: 4 }) }));
  await untilReady(cluster, "app=web", { count: 4 });
});
after(() => cluster?.[Symbol.asyncDispose]());

// Alone, and both at once.
const killed: readonly (readonly [string, readonly Find[]])[] = [
  ["agent", [agentOf]],
  ["launcher", [launcherOf]],
  ["agent with its launcher", [agentOf, launcherOf]],
];
for (const [what, finds] of killed) {
  test(`a killed ${what} comes back, and containers run on meanwhile`, async () => {
    const node = cluster.nodes[0]?.name ?? "";
    const before = (await untilReady(cluster, "app=web", { count: 4 })).map(identity).sort();
    const containers = containersOf(cluster.place, node);
    const pids = finds.map((find) => find(cluster.place, node));
    for (const pid of pids) process.kill(pid, "SIGKILL");
    for (const find of finds)
      await until(`another ${what}`, () => {
        const now = find(cluster.place, node);
        return now > 0 && !pids.includes(now) ? now : undefined;
      });
    await untilNode(cluster, node, ["True"]);
    // Whoever starts a pod anew has looked at everything.
    const input = pod({ name: "new", args: ["sleep", "1000"], spec: { nodeName: node } });
    done(await cluster.naru(["apply", "-f", "-"], { input }));
    await untilReady(cluster, "app=new", { count: 1 });
    done(await cluster.naru(["delete", "pod", "new"]));
    await until("pod new is gone", async () => ((await podsOf(cluster, "app=new")).length === 0 ? true : undefined));
    assert.deepEqual(containersOf(cluster.place, node), containers);
    const pods = await untilReady(cluster, "app=web", { count: 4 });
    assert.deepEqual(pods.map(identity).sort(), before);
    const old = pods.find(({ spec }) => spec?.nodeName === node)?.metadata?.name ?? "";
    assert.equal(done(await cluster.naru(["exec", old, "--", "/probe", "host"])), `${old}\n`);
  });
}

test("a server that is killed again and again while it is written to has lost nothing that it acknowledged", async () => {
  const before = (await podsOf(cluster, "app=web")).map(identity).sort();
  const writers = startWriters(cluster);
  for (let round = 0; round < 3; round++) {
    await writers.more(20);
    const server = serverOf(cluster.place);
    process.kill(server, "SIGKILL");
    await until("another server", () => {
      const now = serverOf(cluster.place);
      return now > 0 && now !== server ? now : undefined;
    });
  }
  await writers.more(20);
  assert.deepEqual(await writers.stop(), []);
  for (const { name } of cluster.nodes) await untilNode(cluster, name, ["True"]);
  const pods = await untilReady(cluster, "app=web", { count: 4 });
  assert.deepEqual(pods.map(identity).sort(), before);
});

test("a killed container is started again", async () => {
  const node = cluster.nodes[1]?.name ?? "";
  const restartsOf = async () => sum((await podsOf(cluster, "app=web")).map(restarts));
  const before = await restartsOf();
  const [pid = 0] = containersOf(cluster.place, node);
  process.kill(pid, "SIGKILL");
  await until("a restart is counted", async () => ((await restartsOf()) === before + 1 ? true : undefined));
  const pods = await untilReady(cluster, "app=web", { count: 4 });
  const last = pods
    .flatMap(({ status }) => status?.containerStatuses ?? [])
    .find(({ restartCount }) => restartCount > 0);
  assert.equal(last?.lastState?.terminated?.exitCode, 137);
});

test("a container that takes too much memory is shown as OOMKilled", async () => {
  const input = pod({
    name: "hog",
    args: ["hog", "200"],
    spec: { restartPolicy: "Never" },
    container: { resources: { limits: { memory: "32Mi" } } },
  });
  done(await cluster.naru(["apply", "-f", "-"], { input }));
  const ended = await until("the end of hog", async () => {
    const [hog] = await podsOf(cluster, "app=hog");
    return hog?.status?.containerStatuses?.[0]?.state?.terminated;
  });
  assert.deepEqual([ended.reason, ended.exitCode], ["OOMKilled", 137]);
  done(await cluster.naru(["delete", "pod", "hog"]));
});

test("pods of a node that died are Ready elsewhere, and the node takes work when it is back", async () => {
  await loseNode(cluster.nodes[2]?.name ?? "", {
    lose: async (name) => cluster.killNode(name),
    giveBack: async () => cluster.reviveNode(),
  });
});

test("pods of a node that is cut off are Ready elsewhere, and its stale containers go when it is back", async () => {
  await loseNode(cluster.nodes[1]?.name ?? "", {
    lose: (name) => cluster.cutNode(name),
    giveBack: (name) => cluster.restoreNode(name),
  });
});

type Find = (place: Place, node: string) => number;

interface Loss {
  readonly lose: (name: string) => Promise<void>;
  readonly giveBack: (name: string) => Promise<void>;
}

async function loseNode(name: string, { lose, giveBack }: Loss): Promise<void> {
  const before = await podsOf(cluster, "app=web");
  const lost = before.filter(({ spec }) => spec?.nodeName === name).map(({ metadata }) => metadata?.uid);
  assert.ok(lost.length > 0, "the test needs pods on the node");
  await lose(name);
  await untilNode(cluster, name, ["Unknown", "False"]);
  const pods = await untilReady(cluster, "app=web", { count: 4, accept: ({ spec }) => spec?.nodeName !== name });
  assert.deepEqual(
    pods.filter(({ metadata }) => lost.includes(metadata?.uid)),
    [],
  );
  const other = cluster.nodes.find((node) => node.name !== name)?.address;
  await until("the service answers", () => fetchText(`http://${other}:30090/`));
  await giveBack(name);
  await untilNode(cluster, name, ["True"]);
  await until("no stale container", () => (containersOf(cluster.place, name).length === 0 ? true : undefined));
  done(await cluster.naru(["scale", "deployment/web", "--replicas", "8"]));
  const more = await untilReady(cluster, "app=web", { count: 8 });
  assert.ok(more.some(({ spec }) => spec?.nodeName === name));
  await until("the service answers there", () =>
    fetchText(`http://${cluster.nodes.find((node) => node.name === name)?.address}:30090/`),
  );
  done(await cluster.naru(["scale", "deployment/web", "--replicas", "4"]));
  await untilReady(cluster, "app=web", { count: 4 });
}

// What stays when nothing happened to a pod.
function identity({ metadata, spec, status }: Pod): string {
  const ids = (status?.containerStatuses ?? []).map(
    ({ containerID, restartCount }) => `${containerID} ${restartCount}`,
  );
  return `${metadata?.name} ${spec?.nodeName} ${ids}`;
}

function restarts({ status }: Pod): number {
  return sum((status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
