// Both ends of node sessions against each other, in memory, on virtual time, over good and bad networks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { silentLogger } from "../../lib/log.ts";
import { fraction, seededRandom } from "../../lib/random.ts";
import { type VirtualClock, virtualClock } from "../../lib/virtual-clock.ts";
import { openSession } from "../../node-agent/session.ts";
import type { AgentSession, NodeResource, StreamHandler } from "../../node-agent/session-types.ts";
import { FrameSchema } from "../../proto/generated/node_pb.ts";
import { configmaps, events, leases, nodes, pods, secrets, services } from "../kinds/generated/resources.ts";
import type { Node, Pod } from "../kinds/generated/types.ts";
import { ApiError } from "../kinds/status.ts";
import { type MemoryNetwork, memoryTransport } from "./memory-transport.ts";
import { notReadySinceAnnotation } from "./node-object.ts";
import { openSessions, type SessionFlags, type Sessions } from "./sessions.ts";
import { type TestClient, testClient } from "./test-client.ts";

interface Network extends MemoryNetwork {
  sessions: Sessions | undefined;
  cut: boolean;
  lossy: boolean;
}

function openNetwork(seed = 1): Network {
  const random = seededRandom(seed);
  const network: Network = {
    sessions: undefined,
    cut: false,
    lossy: false,
    host: () => (network.cut ? undefined : network.sessions),
    fate: () => {
      if (network.cut) return { copies: 0, delayMs: 0 };
      if (!network.lossy) return { copies: 1, delayMs: 1 };
      const chance = fraction(random);
      return {
        copies: chance < 0.1 ? 0 : chance < 0.2 ? 2 : 1,
        delayMs: fraction(random) * 50,
        overtakes: chance > 0.9,
      };
    },
  };
  return network;
}

interface Cluster extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly client: TestClient;
  readonly network: Network;
  startServer(flags?: Partial<SessionFlags>): Promise<Sessions>;
  startAgent(name: string, onStream?: StreamHandler): { readonly session: AgentSession; stop(): void };
}

function openCluster(seed = 1): Cluster {
  const clock = virtualClock();
  const client = testClient();
  const network = openNetwork(seed);
  const stops: (() => void)[] = [];
  let seeds = seed * 1000;
  return {
    clock,
    client,
    network,
    startServer: async (flags = {}) => {
      const random = seededRandom(++seeds);
      network.sessions = await openSessions({ client, clock, random, log: silentLogger, flags });
      return network.sessions;
    },
    startAgent: (name, onStream = async () => ({ exitCode: 0, error: "" })) => {
      const stop = new AbortController();
      const session = openSession(
        { node: () => nodeOf(name), agentVersion: "1", runningPodUids: () => [], onStream },
        { transport: memoryTransport(name, network, clock), clock, random: seededRandom(++seeds), log: silentLogger },
      );
      void session.run(stop.signal);
      stops.push(() => stop.abort());
      return { session, stop: () => stop.abort() };
    },
    [Symbol.asyncDispose]: async () => {
      for (const stop of stops) stop();
      await network.sessions?.[Symbol.asyncDispose]();
    },
  };
}

function nodeOf(name: string): Node {
  return {
    metadata: { name, labels: { "kubernetes.io/os": "linux", "node-role.kubernetes.io/control-plane": "" } },
    status: { capacity: { cpu: "2" }, addresses: [{ type: "InternalIP", address: "10.0.0.1" }] },
  };
}

function podOf(name: string, node: string, more: Partial<Pod["spec"] & object> = {}): Pod {
  return {
    metadata: { namespace: "default", name, uid: `uid-of-${name}` },
    spec: { nodeName: node, containers: [{ name: "c", image: "i" }], ...more },
  };
}

function contentOf({ cache }: AgentSession): readonly string[] {
  const resources: NodeResource[] = ["pods", "configmaps", "secrets", "nodes", "services", "endpointslices"];
  return resources.flatMap((resource) => cache.list(resource).map(({ metadata }) => `${resource}/${metadata?.name}`));
}

async function readyOf(client: TestClient, name: string) {
  const node = await client.get(nodes, { name });
  const ready = node.status?.conditions?.find(({ type }) => type === "Ready");
  return [ready?.status, ready?.reason, ready?.message, node.metadata?.annotations?.[notReadySinceAnnotation]];
}

test("openSessions makes the Node and its lease from a hello, without labels that only others may set", async () => {
  await using cluster = openCluster();
  const { clock, client } = cluster;
  await cluster.startServer();
  cluster.startAgent("a");
  await clock.advance(500);
  const { metadata, status } = await client.get(nodes, { name: "a" });
  const lease = await client.get(leases, { namespace: "kube-node-lease", name: "a" });
  assert.deepEqual(
    [metadata?.labels, status?.capacity, await readyOf(client, "a"), lease.spec?.holderIdentity],
    [
      { "kubernetes.io/hostname": "a", "kubernetes.io/os": "linux" },
      { cpu: "2" },
      ["True", "KubeletReady", "the agent's session is up", undefined],
      "a",
    ],
  );
});

test("openSessions sends a node its pods and what they name, and no more", async () => {
  await using cluster = openCluster();
  const { clock, client } = cluster;
  for (const name of ["used", "unused", "later"]) {
    await client.create(configmaps, { metadata: { namespace: "default", name } });
    await client.create(secrets, { metadata: { namespace: "default", name } });
  }
  await client.create(
    pods,
    podOf("mine", "a", { imagePullSecrets: [{ name: "used" }], volumes: [{ name: "v", configMap: { name: "used" } }] }),
  );
  await client.create(pods, podOf("theirs", "b", { volumes: [{ name: "v", secret: { secretName: "unused" } }] }));
  await cluster.startServer();
  const { session } = cluster.startAgent("a");
  await clock.advance(100);
  const first = contentOf(session);
  await client.create(
    pods,
    podOf("new", "a", { containers: [{ name: "c", envFrom: [{ secretRef: { name: "later" } }] }] }),
  );
  await client.create(services, { metadata: { namespace: "default", name: "web" } });
  await client.delete(pods, { namespace: "default", name: "mine" });
  await clock.advance(100);
  assert.deepEqual(
    [first, contentOf(session)],
    [
      ["pods/mine", "configmaps/used", "secrets/used", "nodes/a"],
      ["pods/new", "secrets/later", "nodes/a", "services/web"],
    ],
  );
});

test("openSessions sends many changes of one moment as one assignment, and no status back to the node that reported it", async () => {
  await using cluster = openCluster();
  const { clock, client } = cluster;
  await cluster.startServer({ flushMs: 5 });
  const { session } = cluster.startAgent("a");
  await clock.advance(1000);
  const changes: string[] = [];
  session.cache.onChange((resource, key) => changes.push(`${resource}/${key}`));
  for (let i = 0; i < 100; i++) await client.create(pods, podOf(`p${i}`, "a"));
  await clock.advance(100);
  const pod = await client.get(pods, { namespace: "default", name: "p0" });
  session.reports.podStatus({ namespace: "default", name: "p0", uid: "uid-of-p0" }, { phase: "Running" });
  await clock.advance(100);
  const written = await client.get(pods, { namespace: "default", name: "p0" });
  assert.deepEqual(
    [changes.length, pod.status, written.status],
    [100, undefined, { phase: "Running", conditions: [] }],
  );
});

test("openSessions marks a silent node Unknown after a second, and Ready at once when it is back", async () => {
  await using cluster = openCluster();
  const { clock, client, network } = cluster;
  await cluster.startServer();
  const { session } = cluster.startAgent("a");
  await client.create(pods, podOf("p", "a"));
  await clock.advance(1000);
  session.reports.podStatus({ namespace: "default", name: "p", uid: "uid-of-p" }, { phase: "Running" });
  await clock.advance(1000);
  network.cut = true;
  await clock.advance(700);
  const early = await readyOf(client, "a");
  await clock.advance(400);
  const late = await readyOf(client, "a");
  // What the node lifecycle does to pods of a lost node.
  const pod = await client.get(pods, { namespace: "default", name: "p" });
  await client.updateStatus(pods, { ...pod, status: { phase: "Unknown" } });
  const lostConnected = session.connection.connected;
  network.cut = false;
  await clock.advance(6000);
  const back = await readyOf(client, "a");
  const told = (await client.get(pods, { namespace: "default", name: "p" })).status?.phase;
  assert.deepEqual(
    [
      early[0],
      late.slice(0, 3),
      Number(late[3]) > 0,
      lostConnected,
      back[0],
      back[3],
      told,
      session.connection.connected,
    ],
    [
      "True",
      ["Unknown", "NodeStatusUnknown", "no heartbeat for 1.0 s"],
      true,
      false,
      "True",
      undefined,
      "Running",
      true,
    ],
  );
});

test("openSessions resumes by generation: after a break only what changed is sent, and reports made meanwhile arrive", async () => {
  await using cluster = openCluster();
  const { clock, client, network } = cluster;
  await client.create(pods, podOf("old", "a"));
  await client.create(pods, podOf("kept", "a"));
  await cluster.startServer();
  const { session } = cluster.startAgent("a");
  await clock.advance(500);
  const changes: string[] = [];
  session.cache.onChange((resource, key) => changes.push(`${resource}/${key}`));
  network.cut = true;
  await clock.advance(3500);
  session.reports.podGone({ namespace: "default", name: "old", uid: "uid-of-old" });
  session.reports.podStatus({ namespace: "default", name: "kept", uid: "uid-of-kept" }, { phase: "Pending" });
  session.reports.podStatus({ namespace: "default", name: "kept", uid: "uid-of-kept" }, { phase: "Running" });
  session.reports.podStatus({ namespace: "default", name: "alien", uid: "x" }, { phase: "Running" });
  await client.create(pods, podOf("new", "a"));
  network.cut = false;
  await clock.advance(3000);
  const kept = await client.get(pods, { namespace: "default", name: "kept" });
  assert.deepEqual(
    [contentOf(session), changes.filter((change) => change.startsWith("pods/")), kept.status?.phase],
    [["pods/kept", "pods/new", "nodes/a"], ["pods/default/new", "pods/default/old"], "Running"],
  );
});

test("openSessions gives nodes a grace after its own start, and marks those that do not come", async () => {
  await using cluster = openCluster();
  const { clock, client, network } = cluster;
  await client.create(nodes, {
    metadata: { name: "other" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const first = await cluster.startServer();
  const a = cluster.startAgent("a");
  const b = cluster.startAgent("b");
  await clock.advance(1000);
  b.stop();
  network.sessions = undefined;
  await first[Symbol.asyncDispose]();
  await clock.advance(5000);
  await cluster.startServer();
  await clock.advance(2500);
  const early = [await readyOf(client, "a"), await readyOf(client, "b")].map(([status]) => status);
  await clock.advance(1000);
  const late = [await readyOf(client, "a"), await readyOf(client, "b"), await readyOf(client, "other")];
  assert.deepEqual(
    [early, late.map(([status]) => status), a.session.cache.synced],
    [["True", "True"], ["True", "Unknown", "True"], true],
  );
});

test("openSessions waits for a node that said goodbye", async () => {
  await using cluster = openCluster();
  const { clock, client } = cluster;
  await cluster.startServer();
  const agent = cluster.startAgent("a");
  await clock.advance(1000);
  const said = agent.session.goodbye(5000);
  await clock.advance(100);
  await said;
  agent.stop();
  await clock.advance(5500);
  const early = await readyOf(client, "a");
  await clock.advance(1000);
  assert.deepEqual([early[0], (await readyOf(client, "a"))[0]], ["True", "Unknown"]);
});

test("openSessions refuses reports about pods of other nodes, other uids and foreign events", async () => {
  await using cluster = openCluster();
  const { clock, client } = cluster;
  await cluster.startServer();
  const { session } = cluster.startAgent("a");
  await client.create(pods, podOf("mine", "a"));
  await client.create(pods, podOf("theirs", "b"));
  await clock.advance(500);
  client.writes.length = 0;
  session.reports.podStatus({ namespace: "default", name: "theirs", uid: "uid-of-theirs" }, { phase: "Failed" });
  session.reports.podGone({ namespace: "default", name: "theirs", uid: "uid-of-theirs" });
  session.reports.podGone({ namespace: "default", name: "mine", uid: "an earlier one" });
  const about = (name: string) => ({
    metadata: {},
    involvedObject: { kind: "Pod", namespace: "default", name, uid: `uid-of-${name}` },
    reason: "Started",
    message: "m",
    source: { host: "elsewhere" },
  });
  session.reports.event(about("theirs"));
  session.reports.event(about("mine"));
  await clock.advance(5000);
  session.reports.event(about("mine"));
  await clock.advance(500);
  const { items } = await client.list(events);
  assert.deepEqual(
    [
      client.writes.filter((write) => !write.includes("leases")).map((write) => write.replace(/\.\w+$/, "")),
      items.map(({ count, source }) => [count, source?.host]),
    ],
    [["create events default/mine", "patch events default/mine"], [[2, "a"]]],
  );
});

test("openSessions converges over a network that loses, doubles, delays and reorders messages", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    await using cluster = openCluster(seed);
    const { clock, client, network } = cluster;
    await cluster.startServer();
    network.lossy = true;
    const agents = ["a", "b"].map((name) => cluster.startAgent(name).session);
    const random = seededRandom(seed);
    for (let step = 0; step < 60; step++) {
      const name = `p${Math.floor(fraction(random) * 10)}`;
      const present = await client.get(pods, { namespace: "default", name }).catch(() => undefined);
      if (present === undefined) await client.create(pods, podOf(name, fraction(random) < 0.5 ? "a" : "b"));
      else if (fraction(random) < 0.5) await client.delete(pods, { namespace: "default", name });
      for (const { cache, reports } of agents) {
        for (const { metadata } of cache.list("pods")) {
          const { namespace = "", name = "", uid = "" } = metadata ?? {};
          reports.podStatus({ namespace, name, uid }, { phase: "Running", message: String(step) });
        }
      }
      await clock.advance(100);
    }
    network.lossy = false;
    await clock.advance(10_000);
    const { items } = await client.list(pods);
    for (const [index, { cache, reports }] of agents.entries()) {
      const node = ["a", "b"][index];
      const wanted = items.filter(({ spec }) => spec?.nodeName === node).map(({ metadata }) => metadata?.name);
      assert.deepEqual(
        [
          seed,
          cache
            .list("pods")
            .map(({ metadata }) => metadata?.name)
            .sort(),
        ],
        [seed, wanted.sort()],
      );
      for (const { metadata } of cache.list("pods")) {
        const { namespace = "", name = "", uid = "" } = metadata ?? {};
        reports.podStatus({ namespace, name, uid }, { phase: "Succeeded" });
      }
    }
    await clock.advance(1000);
    const phases = (await client.list(pods)).items.map(({ status }) => status?.phase);
    assert.deepEqual(new Set(phases), new Set(["Succeeded"]));
    assert.deepEqual(
      [await readyOf(client, "a"), await readyOf(client, "b")].map(([status]) => status),
      ["True", "True"],
    );
  }
});

test("open joins a request with the node's stream, and tells a node that is not there from one that does not answer", async () => {
  await using cluster = openCluster();
  const { clock, network } = cluster;
  const sessions = await cluster.startServer();
  const agent = cluster.startAgent("a", async ({ request, input, send }) => {
    let size = 0;
    for await (const piece of input) {
      if (piece.type === "stdin") size += piece.data.length;
      if (piece.type === "stdinEnd") break;
    }
    await send({ type: "stdout", data: Buffer.from(`${request.case} ${size}`) });
    return { exitCode: 7, error: "" };
  });
  await clock.advance(500);
  const request = { case: "portForward" as const, value: { podUid: "u", port: 80 } as never };
  const never = new AbortController().signal;
  const refusal = (node: string) =>
    sessions.open(node, request, never).then(
      () => "opened",
      (error) => (error instanceof ApiError ? `${error.code} ${error.message}` : String(error)),
    );
  const opening = sessions.open("a", request, never);
  await clock.advance(10);
  const stream = await opening;
  const sending = (async () => {
    for (let i = 0; i < 100; i++) {
      await stream.send(create(FrameSchema, { content: { case: "stdin", value: new Uint8Array(1000) } }));
    }
    await stream.send(create(FrameSchema, { content: { case: "stdinEnd", value: true } }));
  })();
  const frames: string[] = [];
  for await (const { content } of stream.frames) {
    frames.push(content.case === "stdout" ? String(Buffer.from(content.value)) : JSON.stringify(content.value));
  }
  await sending;
  const unknown = await refusal("b");
  agent.stop();
  await clock.advance(10);
  const left = await refusal("a");
  network.cut = true;
  assert.deepEqual(
    [frames, unknown, left],
    [
      ["portForward 100000", '{"$typeName":"naru.node.v1.Exit","exitCode":7,"error":""}'],
      `503 node "b" is not connected: it has not dialled in since this server started`,
      `503 node "a" is not connected since 2026-01-01T00:00:00Z`,
    ],
  );
});
