// Both ends of node sessions over real gRPC with client certificates.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { Client } from "../../client/client.ts";
import { inProcessClient } from "../../client/in-process.ts";
import { realClock, sleep } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import { openSession } from "../../node-agent/session.ts";
import { grpcTransport } from "../../node-agent/session-grpc.ts";
import type { AgentSession, StreamHandler } from "../../node-agent/session-types.ts";
import { FrameSchema } from "../../proto/generated/node_pb.ts";
import { openTestApi } from "../../test/api.ts";
import { componentUser } from "../authentication/user.ts";
import type { NodeStreams } from "../http/stream-broker.ts";
import { nodes, pods } from "../kinds/generated/resources.ts";
import type { ApiError } from "../kinds/status.ts";
import { issueClient, openPki, type Pki } from "../pki/pki.ts";
import { type NodeServer, openNodeServer } from "./grpc-server.ts";
import { notReadySinceAnnotation } from "./node-object.ts";
import { relayStreams } from "./relay.ts";
import { openSessions, type Sessions } from "./sessions.ts";

const never = new AbortController().signal;
const request = { case: "portForward" as const, value: { podUid: "u", port: 80 } as never };

interface Cluster extends AsyncDisposable {
  readonly client: Client;
  readonly sessions: () => Sessions;
  /** As another server of the cluster asks for streams, or whoever has such a certificate. */
  relay(organization?: string): Promise<NodeStreams>;
  restartServer(): Promise<void>;
  stopAgents(): Promise<void>;
  startAgent(onStream: StreamHandler, subject?: { commonName: string; organizations: string[] }): Promise<AgentSession>;
}

async function openCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "naru-sessions-"));
  const pki: Pki = await openPki({ folder, hosts: [], clock: realClock });
  const { api, ...rest } = await openTestApi();
  const client = inProcessClient({ verbs: api.verbs, user: componentUser("node-sessions") });
  const shared = { clock: realClock, random: realRandom(), log: silentLogger };
  const agents: { readonly stop: AbortController; readonly run: Promise<void> }[] = [];
  let sessions: Sessions | undefined;
  let server: NodeServer | undefined;
  const startServer = async (port: number) => {
    sessions = await openSessions({ ...shared, client });
    const { certificatePem, keyPem } = pki.server;
    const authorityPem = pki.authority.certificatePem;
    server = await openNodeServer({
      host: sessions,
      streams: sessions,
      address: "127.0.0.1",
      port,
      authorityPem,
      certificatePem,
      keyPem,
      log: silentLogger,
    });
  };
  const stopServer = async () => {
    await sessions?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  };
  const stopAgents = async () => {
    for (const { stop } of agents) stop.abort();
    await Promise.all(agents.map(({ run }) => run));
  };
  await startServer(0);
  const port = server?.port ?? 0;
  return {
    client,
    sessions: () => {
      assert(sessions !== undefined);
      return sessions;
    },
    relay: async (organization = "system:masters") => {
      const subject = { commonName: "somebody", organizations: [organization] };
      const pair = await issueClient(pki.authority, Date.now(), subject);
      const credentials = () => ({ authorityPem: pki.authority.certificatePem, ...pair });
      return relayStreams({ leader: () => `127.0.0.1:${port}`, credentials });
    },
    stopAgents,
    restartServer: async () => {
      await stopServer();
      await startServer(port);
    },
    startAgent: async (onStream, subject = { commonName: "system:node:a", organizations: ["system:nodes"] }) => {
      const { certificatePem, keyPem } = await issueClient(pki.authority, Date.now(), subject);
      const credentials = () => ({ authorityPem: pki.authority.certificatePem, certificatePem, keyPem });
      const transport = grpcTransport({ addresses: ["127.0.0.1:1", `127.0.0.1:${port}`], credentials });
      const node = () => ({ metadata: { name: "whatever" } });
      const session = openSession(
        { node, agentVersion: "1", runningPodUids: () => [], onStream },
        { ...shared, transport, limits: { backoff: { firstMs: 10, maxMs: 100 } } },
      );
      const stop = new AbortController();
      agents.push({ stop, run: session.run(stop.signal) });
      return session;
    },
    [Symbol.asyncDispose]: async () => {
      await stopAgents();
      await stopServer();
      await rest[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(realClock, 5);
}

const noStreams: StreamHandler = async () => ({ exitCode: 0, error: "" });

test("openNodeServer takes the node's name from its certificate, and a session outlives a restart of the server", async () => {
  await using cluster = await openCluster();
  const { client } = cluster;
  const session = await cluster.startAgent(noStreams);
  await until(() => session.cache.get("nodes", "a") !== undefined);
  const bind = async (name: string) => {
    const spec = { nodeName: "a", containers: [{ name: "c", image: "i" }] };
    return (await client.create(pods, { metadata: { namespace: "default", name }, spec })).metadata?.uid ?? "";
  };
  const uid = await bind("one");
  await until(() => session.cache.get("pods", "default/one") !== undefined);
  await cluster.restartServer();
  session.reports.podStatus({ namespace: "default", name: "one", uid }, { phase: "Running" });
  await bind("two");
  await until(() => session.cache.get("pods", "default/two") !== undefined);
  await until(async () => (await client.get(pods, { namespace: "default", name: "one" })).status?.phase === "Running");
  await client.delete(pods, { namespace: "default", name: "one" });
  await until(() => session.cache.get("pods", "default/one")?.metadata?.deletionTimestamp !== undefined);
  session.reports.podGone({ namespace: "default", name: "one", uid });
  await until(() => session.cache.get("pods", "default/one") === undefined);
  assert.deepEqual(
    (await client.list(pods)).items.map(({ metadata }) => metadata?.name),
    ["two"],
  );
});

test("openSessions marks a node whose agent is gone, and Ready again with the next one, in the real API", async () => {
  await using cluster = await openCluster();
  const { client } = cluster;
  const ready = async () => {
    const node = await client.get(nodes, { name: "a" }).catch(() => undefined);
    const condition = node?.status?.conditions?.find(({ type }) => type === "Ready");
    return [condition?.status, condition?.reason, node?.metadata?.annotations?.[notReadySinceAnnotation] !== undefined];
  };
  const becomes = async (status: string, hasSince: boolean) => {
    await until(async () => {
      const [now, , since] = await ready();
      return now === status && since === hasSince;
    });
    return await ready();
  };
  await cluster.startAgent(noStreams);
  const first = await becomes("True", false);
  await cluster.stopAgents();
  const lost = await becomes("Unknown", true);
  await cluster.startAgent(noStreams);
  assert.deepEqual(
    [first, lost, await becomes("True", false)],
    [
      ["True", "KubeletReady", false],
      ["Unknown", "NodeStatusUnknown", true],
      ["True", "KubeletReady", false],
    ],
  );
});

test("openNodeServer refuses certificates that are not a node's", async () => {
  await using cluster = await openCluster();
  const session = await cluster.startAgent(noStreams, {
    commonName: "system:node:a",
    organizations: ["system:masters"],
  });
  await sleep(realClock, 300);
  assert.deepEqual([session.connection.connected, cluster.sessions().connected], [false, []]);
});

for (const [way, streamsOf] of [
  ["directly", async (cluster: Cluster) => cluster.sessions()],
  ["through another server", (cluster: Cluster) => cluster.relay()],
] as const) {
  test(`open ${way} carries bulk both ways at the pace of the slower side, while the session beats on`, async () => {
    await using cluster = await openCluster();
    const streams = await streamsOf(cluster);
    const total = 20 * 1024 * 1024;
    let sent = 0;
    const session = await cluster.startAgent(async ({ input, send }) => {
      let received = 0;
      for await (const piece of input) {
        if (piece.type === "stdinEnd") break;
        if (piece.type === "stdin") received += piece.data.length;
      }
      const chunk = new Uint8Array(256 * 1024).fill(1);
      for (; sent < total; sent += chunk.length) await send({ type: "stdout", data: chunk });
      return { exitCode: received === total ? 0 : 1, error: String(received) };
    });
    await until(() => session.connection.connected);
    await using stream = await streams.open("a", request, never);
    const piece = new Uint8Array(64 * 1024);
    for (let bytes = 0; bytes < total; bytes += piece.length) {
      await stream.send(create(FrameSchema, { content: { case: "stdin", value: piece } }));
    }
    await stream.send(create(FrameSchema, { content: { case: "stdinEnd", value: true } }));
    // Nobody reads: the agent's handler must come to a stand, and heartbeats must not.
    await sleep(realClock, 1500);
    const whileStalled = [sent < total / 2, session.connection.connected];
    let read = 0;
    const ends: unknown[] = [];
    for await (const { content } of stream.frames) {
      if (content.case === "stdout") read += content.value.length;
      if (content.case === "exit") ends.push(content.value.exitCode, content.value.error);
    }
    assert.deepEqual([whileStalled, read, ends], [[true, true], total, [0, String(total)]]);
  });

  test(`open ${way} ends the agent's side when the user leaves, however full the stream is`, async () => {
    await using cluster = await openCluster();
    const streams = await streamsOf(cluster);
    const ended: string[] = [];
    const session = await cluster.startAgent(async ({ send, signal }) => {
      signal.addEventListener("abort", () => ended.push("aborted"));
      const chunk = new Uint8Array(64 * 1024);
      try {
        for (;;) await send({ type: "stdout", data: chunk });
      } finally {
        ended.push("left");
      }
    });
    await until(() => session.connection.connected);
    for (let i = 0; i < 3; i++) {
      const stream = await streams.open("a", request, never);
      await sleep(realClock, 100);
      await stream[Symbol.asyncDispose]();
    }
    await until(() => ended.length === 6);
    const deaf = await streams.open("a", request, never);
    const sending = assert.rejects(async () => {
      for (;;) await deaf.send(create(FrameSchema, { content: { case: "stdin", value: new Uint8Array(64 * 1024) } }));
    });
    await sleep(realClock, 100);
    await deaf[Symbol.asyncDispose]();
    await sending;
    await until(() => ended.length === 8);
    assert.equal(session.connection.connected, true);
  });

  test(`open ${way} tells of a node that is lost in the middle of a stream`, async () => {
    await using cluster = await openCluster();
    const streams = await streamsOf(cluster);
    let crash: (() => void) | undefined;
    const session = await cluster.startAgent(({ signal }) => {
      return new Promise((_, reject) => {
        crash = () => reject(new Error("no such container"));
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    });
    await until(() => session.connection.connected);
    const first = await streams.open("a", request, never);
    await until(() => crash !== undefined);
    crash?.();
    const ends: string[] = [];
    for await (const { content } of first.frames) if (content.case === "exit") ends.push(content.value.error);
    const second = await streams.open("a", request, never);
    const reading = assert.rejects(async () => {
      for await (const _ of second.frames);
    }, /node "a" was lost in the middle of the stream/);
    await cluster.stopAgents();
    await reading;
    assert.deepEqual(ends, ["no such container"]);
  });
}

test("relayStreams gives on why a node cannot be asked, and is for servers alone", async () => {
  await using cluster = await openCluster();
  const refusal = async (streams: NodeStreams) =>
    streams.open("b", request, never).then(
      () => "opened",
      (error: ApiError) => [error.reason, error.message],
    );
  const nobody = relayStreams({ leader: () => undefined, credentials: () => assert.fail("nobody to dial") });
  assert.deepEqual(
    [
      await refusal(await cluster.relay()),
      (await refusal(await cluster.relay("system:nodes")))[0],
      await refusal(nobody),
    ],
    [
      ["ServiceUnavailable", 'node "b" is not connected: it has not dialled in since this server started'],
      "ServiceUnavailable",
      ["ServiceUnavailable", "no server leads at present"],
    ],
  );
  await assert.rejects(
    (await cluster.relay("system:nodes")).open("b", request, never),
    /certificate must be a server's/,
  );
});
