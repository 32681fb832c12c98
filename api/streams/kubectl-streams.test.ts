// exec, attach, cp and port-forward with real kubectls: the old one speaks SPDY, the new one WebSockets. The node is an agent's session
// whose containers are processes of this machine.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inProcessClient } from "../../client/in-process.ts";
import { realClock, sleep } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import { openSession } from "../../node-agent/session.ts";
import type { NodeStream, StreamEnd } from "../../node-agent/session-types.ts";
import { openTestServer, type TestServer } from "../../test/api.ts";
import { newKubectl, oldKubectl } from "../../test/kubectl.ts";
import { componentUser } from "../authentication/user.ts";
import type { StreamBroker } from "../http/stream-broker.ts";
import { pods } from "../kinds/generated/resources.ts";
import { memoryTransport } from "../sessions/memory-transport.ts";
import { openSessions, type Sessions } from "../sessions/sessions.ts";
import { openStreamBroker } from "./stream-broker.ts";

let server: TestServer;
let sessions: Sessions;
let broker: StreamBroker;
let folder: string;
let echo: Server;
const stop = new AbortController();
const upgrades = new Set<string>();
const children = new Set<ChildProcess>();

const kubectls = [
  ["old kubectl over SPDY", oldKubectl],
  ["new kubectl over WebSockets", newKubectl],
] as const;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "naru-streams-"));
  const shared = { clock: realClock, random: realRandom(), log: silentLogger };
  server = await openTestServer({
    broker: {
      open: (...args) => broker.open(...args),
      upgrade: (one) => {
        upgrades.add(`${one.subresource} ${one.request.headers.upgrade}`);
        return broker.upgrade(one);
      },
    },
  });
  const client = inProcessClient({ verbs: server.api.verbs, user: componentUser("node-sessions") });
  sessions = await openSessions({ ...shared, client });
  broker = openStreamBroker({ streams: sessions, log: silentLogger });
  const network = { fate: () => ({ copies: 1, delayMs: 0 }), host: () => sessions };
  const session = openSession(
    { node: () => ({ metadata: { name: "n1" } }), agentVersion: "1", runningPodUids: () => [], onStream: serve },
    { ...shared, transport: memoryTransport("n1", network, realClock) },
  );
  void session.run(stop.signal);
  for (const [name, nodeName] of [
    ["web", "n1"],
    ["lost", "n2"],
  ] as const) {
    const pod = await client.create(pods, {
      metadata: { namespace: "default", name },
      spec: { nodeName, containers: [{ name: "main", image: "none", stdin: true, tty: true }] },
    });
    const running = { state: { running: { startedAt: "2026-01-01T00:00:00Z" } } };
    const status = { name: "main", ready: true, restartCount: 0, image: "none", imageID: "", ...running };
    await client.updateStatus(pods, { ...pod, status: { phase: "Running", containerStatuses: [status] } });
  }
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  while (!session.connection.connected) await sleep(realClock, 5);
});

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  stop.abort();
  echo.close();
  await sessions[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** The agent's part: an exec is a process here, a forwarded port is one of this machine's. */
async function serve(stream: NodeStream): Promise<StreamEnd> {
  const { request } = stream;
  switch (request.case) {
    case "exec":
      return runProcess(stream, request.value.command, request.value.tty);
    case "attach":
      return runProcess(stream, ["sh", "-c", "echo attached; cat"], request.value.tty);
    case "portForward":
      return forward(stream, request.value.port);
    case "log":
      await stream.send({ type: "stdout", data: Buffer.from("one line\n") });
      return { exitCode: 0, error: "" };
    default:
      return { exitCode: 1, error: `no ${request.case} here` };
  }
}

async function runProcess(
  stream: NodeStream,
  [program = "", ...args]: readonly string[],
  tty: boolean,
): Promise<StreamEnd> {
  const child = spawn(program, args, { stdio: "pipe" });
  children.add(child);
  stream.signal.addEventListener("abort", () => child.kill("SIGKILL"));
  const ended = new Promise<StreamEnd>((resolve) => {
    child.on("error", (error) => resolve({ exitCode: 127, error: `exec ${program}: ${error.message}` }));
    child.on("exit", (code) => resolve({ exitCode: code ?? 137, error: "" }));
  });
  child.stdin.on("error", () => {});
  void (async () => {
    for await (const piece of stream.input) {
      if (piece.type === "stdin" && !child.stdin.write(piece.data)) await once(child.stdin, "drain");
      else if (piece.type === "stdinEnd") child.stdin.end();
      else if (piece.type === "resize" && tty)
        await stream.send({ type: "stdout", data: Buffer.from(`${piece.columns}\n`) });
    }
  })().catch(() => child.stdin.end());
  const copy = async (from: NodeJS.ReadableStream, type: "stdout" | "stderr") => {
    for await (const data of from) await stream.send({ type, data: data as Buffer });
  };
  await Promise.all([copy(child.stdout, "stdout"), copy(child.stderr, "stderr")]);
  children.delete(child);
  return ended;
}

async function forward(stream: NodeStream, port: number): Promise<StreamEnd> {
  const socket = connect({ host: "127.0.0.1", port: port === 80 ? portOf(echo) : port, allowHalfOpen: true });
  const failed = once(socket, "connect").then(
    () => undefined,
    (error: Error) => error,
  );
  const error = await failed;
  if (error !== undefined) return { exitCode: 1, error: error.message };
  socket.on("error", () => {});
  stream.signal.addEventListener("abort", () => socket.destroy());
  void (async () => {
    for await (const piece of stream.input) {
      if (piece.type === "stdin" && !socket.write(piece.data)) await once(socket, "drain");
      if (piece.type === "stdinEnd") socket.end();
    }
  })().catch(() => socket.destroy());
  for await (const data of socket) await stream.send({ type: "stdout", data: data as Buffer });
  return { exitCode: 0, error: "" };
}

function portOf(listening: Server): number {
  const address = listening.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(kubectl: string, args: readonly string[], input?: string | Buffer): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      kubectl,
      ["--kubeconfig", server.kubeconfigPath, "--cache-dir", join(folder, "cache"), ...args],
      { maxBuffer: 64 * 1024 * 1024, timeout: 20_000 },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? (error === null ? 0 : -1)), stdout, stderr }),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

for (const [name, find] of kubectls) {
  test(`${name}: exec gives output, errors apart, and the exit code; openStreamBroker joins them`, async () => {
    const { code, stdout, stderr } = await run(await find(), [
      "exec",
      "web",
      "--",
      "sh",
      "-c",
      "echo out; echo err >&2; exit 3",
    ]);
    assert.deepEqual([code, stdout, stderr], [3, "out\n", "err\ncommand terminated with exit code 3\n"]);
  });

  test(`${name}: exec carries stdin to its end, whatever its size; openStreamBroker keeps its order`, async () => {
    const input = Buffer.from(Array.from({ length: 200_000 }, (_, i) => `${i}\n`).join(""));
    const { code, stdout } = await run(await find(), ["exec", "-i", "web", "--", "cat"], input);
    assert.deepEqual([code, stdout.length, stdout === input.toString()], [0, input.length, true]);
  });

  test(`${name}: exec of a command that does not start, or on a node that is not there, says why; openStreamBroker tells`, async () => {
    const kubectl = await find();
    const missing = await run(kubectl, ["exec", "web", "--", "no-such-program"]);
    const lost = await run(kubectl, ["exec", "lost", "--", "true"]);
    assert.match(missing.stderr, /Internal error occurred: exec no-such-program: .*ENOENT/);
    assert.match(lost.stderr, /node "n2" is not connected/);
    assert.deepEqual([missing.code, lost.code], [1, 1]);
  });

  test(`${name}: attach reads what the process says; openStreamBroker`, async () => {
    const { code, stdout } = await run(await find(), ["attach", "-i", "web"], "typed\n");
    assert.deepEqual([code, stdout], [0, "attached\ntyped\n"]);
  });

  test(`${name}: cp copies there and back; openStreamBroker`, async () => {
    const kubectl = await find();
    const from = join(folder, `from-${name.slice(0, 3)}`);
    const content = Buffer.alloc(3_000_000, "naru ");
    await writeFile(from, content);
    const there = await run(kubectl, ["cp", from, `web:${from}-there`]);
    const back = await run(kubectl, ["cp", `web:${from}-there`, `${from}-back`]);
    assert.deepEqual([there.code, back.code, content.equals(await readFile(`${from}-back`))], [0, 0, true]);
  });

  test(`${name}: port-forward carries several connections and reports a refused one; openStreamBroker`, async () => {
    const kubectl = await find();
    const child = spawn(kubectl, ["--kubeconfig", server.kubeconfigPath, "port-forward", "web", ":80", ":1"]);
    children.add(child);
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    const ports = new Map<string, number>();
    child.stdout.on("data", (text) => {
      for (const [, from = "", to = ""] of String(text).matchAll(/127\.0\.0\.1:(\d+) -> (\d+)/g))
        ports.set(to, Number(from));
    });
    await until(child, () => ports.size === 2);
    const sizes = await Promise.all([1, 70_000, 2_000_000].map((size) => roundTrip(ports.get("80") ?? 0, size)));
    await roundTrip(ports.get("1") ?? 0, 1).catch(() => 0);
    await until(child, () => said.includes("ECONNREFUSED"));
    child.kill("SIGKILL");
    children.delete(child);
    assert.deepEqual(sizes, [1, 70_000, 2_000_000]);
    const protocol = find === oldKubectl ? "SPDY/3.1" : "websocket";
    assert.deepEqual(
      ["exec", "attach", "portforward"].filter((verb) => !upgrades.has(`${verb} ${protocol}`)),
      [],
    );
    assert.match(said, /error forwarding port 1 to pod web, uid [-\w]+: connect ECONNREFUSED/);
  });
}

async function until(child: ChildProcess, holds: () => boolean): Promise<void> {
  while (!holds()) {
    assert.equal(child.exitCode, null, "kubectl ended");
    await sleep(realClock, 10);
  }
}

/** Sends so many bytes through an echo, half-closes, and counts what comes back. */
async function roundTrip(port: number, size: number): Promise<number> {
  const socket: Socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.end(Buffer.alloc(size, 1));
  let count = 0;
  for await (const data of socket) count += (data as Buffer).length;
  return count;
}
