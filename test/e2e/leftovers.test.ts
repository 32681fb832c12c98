// `naru up` leaves nothing on the machine when it ends, whoever was killed before or while it ended.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { nodes } from "../../api/kinds/generated/resources.ts";
import { newPlace, spawnUp, startAt, type TestCluster } from "./cluster.ts";
import { pod, web } from "./manifests.ts";
import { done, importProbe, until, untilNode, untilReady } from "./questions.ts";
import { agentOf, findRemains, nothing, type Place, removeRemains, serverOf } from "./remains.ts";

// One place for all: each test carries on from what the one before left, as a user's next start does.
let place: Place;
/** How long a pod waits for its node: the server must be gone before that is over. */
const lostSeconds = 8;

before(async () => {
  place = await newPlace();
  const cluster = await startAt(place, { nodes: 2 });
  await importProbe(cluster);
  // It stays bound to its node, however long that is away.
  const tolerations = [{ key: "node.kubernetes.io/unreachable", operator: "Exists" }];
  const volumes = [{ name: "memory", emptyDir: { medium: "Memory" } }];
  const stubborn = pod({ name: "stubborn", args: ["stubborn"], spec: { nodeName: "node-2", tolerations, volumes } });
  for (const input of [web({ replicas: 2 }), stubborn]) done(await cluster.naru(["apply", "-f", "-"], { input }));
  await untilRunning(cluster);
  await end(cluster);
});
after(() => removeRemains(place));

test("a pod that ignores SIGTERM holds no end of naru up", async () => {
  await end(await start());
});

test("pods get their time to end with naru up, which tells how many are left, and a second signal ends them at once", async () => {
  const cluster = await start();
  const lifecycle = { preStop: { exec: { command: ["/probe", "sleep", "600"] } } };
  const spec = { terminationGracePeriodSeconds: 600 };
  const slow = pod({ name: "slow", args: ["serve", "8080", "slow"], spec, container: { lifecycle } });
  done(await cluster.naru(["apply", "-f", "-"], { input: slow }));
  await untilReady(cluster, "app=slow", { count: 1 });
  const ended = cluster.stop("SIGTERM");
  await until("it tells what is left", () =>
    cluster.output().some((line) => line.includes("1 pod is ending")) ? true : undefined,
  );
  // As impatient people do: each presses it again until it says so.
  await until("it hurries", () => {
    if (cluster.output().includes("ending what is left at once")) return true;
    cluster.up.kill("SIGINT");
    return undefined;
  });
  assert.equal(await ended, 0);
  assert.deepEqual(await findRemains(place), nothing);
  const next = await start();
  done(await next.naru(["delete", "pod/slow", "--grace-period", "0"]));
  await end(next);
});

test("naru up clears away a node whose processes are dead", async () => {
  const cluster = await start();
  cluster.killNode("node-2");
  // It goes on with the signal to end: nobody starts the node again.
  await end(cluster);
});

test("a pod whose node was lost before the server ended is there when both begin again", async () => {
  const toleration = { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" };
  const lost = pod({
    name: "lost",
    args: ["sleep", "1000"],
    spec: { nodeName: "node-2", tolerations: [{ ...toleration, tolerationSeconds: lostSeconds }] },
  });
  const cluster = await start();
  done(await cluster.naru(["apply", "-f", "-"], { input: lost }));
  const [before] = await untilReady(cluster, "app=lost", { count: 1 });
  cluster.killNode("node-2");
  await untilNode(cluster, "node-2", ["Unknown"]);
  process.kill(serverOf(place), "SIGKILL");
  await cluster.stop("SIGKILL");
  await delay(lostSeconds * 1000);
  const next = await start();
  const [now] = await untilReady(next, "app=lost", { count: 1 });
  assert.equal(now?.metadata?.uid, before?.metadata?.uid);
  done(await next.naru(["delete", "pod", "lost"]));
  await end(next);
});

test("naru up clears away what agents leave that are killed while it ends", async () => {
  const cluster = await start();
  const agents = ["node-1", "node-2"].map((node) => agentOf(place, node));
  const ended = cluster.stop("SIGTERM");
  await until("it stops", () => (cluster.output().includes("stopping") ? true : undefined));
  for (const pid of agents) process.kill(pid, "SIGKILL");
  assert.equal(await ended, 0);
  assert.deepEqual(await findRemains(place), nothing);
});

test("naru up ends without its server", async () => {
  const cluster = await start();
  const server = serverOf(place);
  const ended = cluster.stop("SIGTERM");
  process.kill(server, "SIGKILL");
  assert.equal(await ended, 0);
  assert.deepEqual(await findRemains(place), nothing);
});

test("naru up that is killed with all its nodes is cleared away by the next one", async () => {
  const killed = await start();
  await killed.stop("SIGKILL");
  for (const { name } of killed.nodes) killed.killNode(name);
  assert.notDeepEqual(await findRemains(place), nothing);
  await end(await start());
});

test("naru up that is killed while it ends is cleared away by the next one", async () => {
  const killed = await start();
  killed.up.kill("SIGTERM");
  await until("it stops", () => (killed.output().includes("stopping") ? true : undefined));
  await killed.stop("SIGKILL");
  await end(await start());
});

test("naru up that is killed is cleared away by the next one, which may have fewer nodes", async () => {
  const killed = await start();
  assert.equal(await killed.stop("SIGKILL"), null);
  assert.notDeepEqual(await findRemains(place), nothing);
  const next = await startAt(place, { nodes: 1 });
  const remains = await findRemains(place);
  assert.deepEqual(
    remains.processes.filter((process) => process.includes("node-2")),
    [],
  );
  // A node that is no more is not waited for.
  await assert.rejects(next.client.get(nodes, { name: "node-2" }), { reason: "NotFound" });
  await end(next);
});

for (const line of ["starting the server", "starting 2 nodes"]) {
  test(`naru up leaves nothing when signalled at "${line}"`, async () => {
    const up = spawnUp(place, { nodes: 2 });
    const ended = once(up, "exit");
    const lines = createInterface({ input: up.stdout ?? process.stdin });
    lines.on("line", (text) => text === line && up.kill("SIGTERM"));
    assert.deepEqual(await ended, [130, null]);
    assert.deepEqual(await findRemains(place), nothing);
  });
}

async function start(): Promise<TestCluster> {
  const cluster = await startAt(place, { nodes: 2 });
  await untilRunning(cluster).catch(async (error: unknown) => {
    await cluster.stop("SIGTERM");
    throw error;
  });
  return cluster;
}

async function untilRunning(cluster: TestCluster): Promise<void> {
  await untilReady(cluster, "app=web", { count: 2 });
  await untilReady(cluster, "app=stubborn", { count: 1 });
}

async function end(cluster: TestCluster): Promise<void> {
  assert.equal(await cluster.stop("SIGTERM"), 0);
  assert.deepEqual(await findRemains(place), nothing);
}
