// What is no request, and clients that break off, dawdle or hold on: refused with a reason, and nothing of them stays with the agent.
import { deepEqual, ok } from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type DockerEngine, startDocker } from "./docker-engine.ts";
import { agentOf } from "./remains.ts";

let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
  await engine.ok([
    "run",
    "-d",
    "--name",
    "talks",
    "busybox",
    "sh",
    "-c",
    "while :; do echo talking; sleep 0.05; done",
  ]);
  await engine.ok(["run", "-d", "-i", "--name", "hears", "busybox", "cat"]);
});
after(() => engine[Symbol.asyncDispose]());

function open(): Socket {
  const socket = connect({ path: engine.socketPath, allowHalfOpen: true });
  socket.on("error", () => {});
  return socket;
}

/** Status and message of the answer to these bytes. */
async function send(...parts: readonly (string | Buffer)[]): Promise<string> {
  const socket = open();
  for (const part of parts) socket.write(part);
  let text = "";
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    text += bytes.toString();
    const [, length, body = ""] = /content-length: (\d+).*?\r\n\r\n(.*)$/is.exec(text) ?? [];
    if (length !== undefined && Buffer.byteLength(body) >= Number(length)) break;
  }
  socket.destroy();
  const [, status = "nothing"] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const [, message = ""] = /"message":"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
  return `${status} ${message}`;
}

const json = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const upgrade = (path: string, more = "") =>
  `POST ${path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n${more}\r\n`;

test("what is no request, or one too large, is refused with a reason", async () => {
  const large = 5 * 1024 * 1024;
  deepEqual(
    await Promise.all([
      send("GARBAGE\r\n\r\n"),
      send(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])),
      send(`GET /_ping HTTP/1.1\r\nHost: d\r\nX-Long: ${"x".repeat(100_000)}\r\n\r\n`),
      send("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -5\r\n\r\n"),
      send("GET //[ HTTP/1.1\r\nHost: d\r\n\r\n"),
      send(json("/containers/create", "[1]")),
      send(json("/containers/create", `{"Image": ${"[".repeat(100_000)}`)),
      send(
        `POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: ${large}\r\n\r\n`,
        Buffer.alloc(large, 0x20),
      ),
      send(upgrade("/containers/talks/attach?stream=1&stdout=1", "Content-Length: 999999999\r\n")),
      send(upgrade("/containers/talks/attach?stream=1&stdout=1", "Transfer-Encoding: chunked\r\n")),
      send(upgrade("/containers/absent/attach?stream=1&stdout=1")),
      send(upgrade("/info/none")),
    ]).then((answers) => answers.map((answer) => answer.replace(/(not a request|is not JSON): .*/, "$1"))),
    [
      "400 not a request",
      "400 not a request",
      "431 not a request",
      "400 not a request",
      '400 \\"//[\\" is no path',
      "400 the body: expected an object, got a list",
      "400 the body is not JSON",
      "413 the body has more than 4194304 bytes",
      "413 a request for a stream takes a body of 1048576 bytes at most",
      "400 a request for a stream takes a body with Content-Length, not in chunks",
      "404 No such container: absent",
      "404 page not found: /info/none",
    ],
  );
});

function descriptors(): number {
  return readdirSync(`/proc/${agentOf(engine.cluster.place, "node-1")}/fd`).length;
}

/** Clients that come and go without a word: some in the middle of a request, some holding one end open. */
async function misbehave(): Promise<void> {
  const words = [
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n{",
    "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "PUT /containers/talks/archive?path=/ HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET /events HTTP/1.1\r\nHost: d\r\n\r\n",
    "GET /containers/talks/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n",
    "GET /containers/talks/stats HTTP/1.1\r\nHost: d\r\n\r\n",
    "GET /containers/talks/export HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /containers/talks/wait HTTP/1.1\r\nHost: d\r\n\r\n",
    upgrade("/containers/talks/attach?stream=1&stdout=1"),
    upgrade("/containers/hears/attach?stream=1&stdin=1&stdout=1"),
    upgrade("/containers/hears/attach?stream=1&stdin=1&stdout=1", "Content-Length: 100\r\n"),
    upgrade("/grpc").replace("tcp", "h2c"),
    "GET /_ping HTTP/1.1\r\nHost: d\r\n",
  ];
  const sockets = words.map((text) => {
    const socket = open();
    socket.write(text);
    return socket;
  });
  await sleep(100);
  for (const [i, socket] of sockets.entries()) {
    if (i % 2 === 0) socket.end();
    else socket.destroy();
  }
  await sleep(50);
  for (const socket of sockets) socket.destroy();
}

test("clients that break off leave no descriptor and no process", async () => {
  await misbehave();
  await engine.ok(["ps"]);
  await settled();
  const before = descriptors();
  for (let i = 0; i < 5; i++) await misbehave();
  await engine.ok(["ps"]);
  const left = await settled();
  // A connection of the command itself may be still there.
  ok(left <= before + 2, `${before} descriptors before, ${left} after`);
  deepEqual(await engine.ok(["ps", "--format", "{{.Names}}"]), "hears\ntalks");
});

/** Descriptors when their number has stopped falling. */
async function settled(): Promise<number> {
  let least = descriptors();
  for (let same = 0; same < 15; ) {
    await sleep(100);
    const now = descriptors();
    same = now < least ? 0 : same + 1;
    least = Math.min(least, now);
  }
  return least;
}

test("a half-closed attach hears the container to its end, and a client that does not read harms nobody", async () => {
  const socket = open();
  socket.write(upgrade("/containers/hears/attach?stream=1&stdin=1&stdout=1"));
  await once(socket, "data");
  socket.end("said before the end\n");
  const [heard] = (await once(socket, "data")) as Buffer[];
  socket.destroy();
  // It asks for a lot and never reads.
  const lazy = open();
  lazy.write("GET /containers/talks/export HTTP/1.1\r\nHost: d\r\n\r\n");
  lazy.write("GET /events HTTP/1.1\r\nHost: d\r\n\r\n");
  const ran = await engine.ok(["run", "--rm", "busybox", "echo", "still here"]);
  lazy.destroy();
  deepEqual([heard?.subarray(8).toString(), ran], ["said before the end\n", "still here"]);
});
