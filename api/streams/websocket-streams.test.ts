// exec and port-forward over bare WebSockets: the protocol versions and encodings that kubectl does not use but other clients do.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { WebSocket } from "ws";
import { silentLogger } from "../../lib/log.ts";
import { type Frame, FrameSchema } from "../../proto/generated/node_pb.ts";
import type { FramePipe } from "../../proto/transport.ts";
import type { NodeRequest, NodeStreams } from "../http/stream-broker.ts";
import { ApiError } from "../kinds/status.ts";
import { memoryPipes } from "../sessions/memory-transport.ts";
import { openStreamBroker } from "./stream-broker.ts";

let server: Server;
let node: (pipe: FramePipe, request: NodeRequest) => Promise<void> = async () => {};

const streams: NodeStreams = {
  open: async (name, request) => {
    if (name !== "n1") throw new ApiError("ServiceUnavailable", `node "${name}" is not connected`);
    const [agent, client] = memoryPipes();
    void node(agent, request).catch(() => agent.abort("failed"));
    return {
      frames: client.frames,
      send: client.send,
      [Symbol.asyncDispose]: async () => client.abort("left"),
    };
  },
};

before(async () => {
  const broker = openStreamBroker({ streams, log: silentLogger });
  server = createServer();
  server.on("upgrade", (request, socket, head) => {
    const { pathname, searchParams: query } = new URL(request.url ?? "", "http://server");
    const [, name = "", subresource] = pathname.split("/");
    void broker.upgrade({
      request,
      socket,
      head,
      subresource: subresource as "exec",
      pod: { metadata: { namespace: "default", name: "web", uid: "u" } },
      node: name,
      container: "c",
      query,
      signal: new AbortController().signal,
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

after(() => {
  server.close();
});

function address(): string {
  const bound = server.address();
  return `127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`;
}

function frame(content: Exclude<Frame["content"], { case: undefined }>): Frame {
  return create(FrameSchema, { content });
}

/** Prints what it is sent, in capitals, until stdin ends; then exits with 3. */
async function shout(pipe: FramePipe): Promise<void> {
  for await (const { content } of pipe.frames) {
    if (content.case === "resize") {
      await pipe.send(frame({ case: "stdout", value: Buffer.from(`${content.value.columns}x${content.value.rows} `) }));
    }
    if (content.case === "stdin") {
      const text = Buffer.from(content.value).toString().toUpperCase();
      await pipe.send(frame({ case: "stdout", value: Buffer.from(text) }));
      if (text.endsWith("BYE")) break;
    }
    if (content.case === "stdinEnd") break;
  }
  const exit = { $typeName: "naru.node.v1.Exit" as const, exitCode: 3, error: "" };
  await pipe.send(frame({ case: "exit", value: exit }));
  pipe.end();
}

/** Sends the messages once connected; resolves with what came, until the server closed. */
async function talk(path: string, protocols: string[], messages: readonly (Buffer | string)[]) {
  const socket = new WebSocket(`ws://${address()}${path}`, protocols);
  const heard: string[] = [];
  socket.on("message", (data, isBinary) => heard.push(isBinary ? (data as Buffer).toString("latin1") : `text ${data}`));
  const refused = new Promise<string>((resolve) => {
    socket.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve(`${response.statusCode} ${JSON.parse(body).message}`));
    });
  });
  socket.on("open", () => {
    for (const message of messages) socket.send(message);
  });
  socket.on("error", () => {});
  const closed = once(socket, "close").then(([code]) => ({ protocol: socket.protocol, heard: heard.join("|"), code }));
  return Promise.race([closed, refused]);
}

const failure =
  '{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 3","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}';

test("openStreamBroker speaks exec in every version: sizes, half-close in v5, Status from v4 on, text before, base64", async () => {
  node = shout;
  const exec = "/n1/exec?command=sh&stdin=true&stdout=true";
  const base64 = (channel: number, text: string) => `${channel}${Buffer.from(text).toString("base64")}`;
  const outcomes = [
    await talk(
      exec,
      ["v4.channel.k8s.io", "v5.channel.k8s.io"],
      [Buffer.from('\x04{"Width":80,"Height":24}'), Buffer.from("\x00hello"), Buffer.of(255, 0)],
    ),
    await talk(exec, ["v4.channel.k8s.io"], [Buffer.from("\x00hello bye")]),
    await talk(exec, ["base64.channel.k8s.io"], [base64(0, "bye")]),
    await talk(exec, ["v4.base64.channel.k8s.io"], [base64(0, "bye")]),
    await talk(exec, [], [Buffer.from("\x00bye")]),
  ];
  const plain = "command terminated with non-zero exit code: exit status 3";
  assert.deepEqual(outcomes, [
    { protocol: "v5.channel.k8s.io", heard: `\x01|\x0180x24 |\x01HELLO|\x03${failure}`, code: 1000 },
    { protocol: "v4.channel.k8s.io", heard: `\x01|\x01HELLO BYE|\x03${failure}`, code: 1000 },
    {
      protocol: "base64.channel.k8s.io",
      heard: `text 1|text ${base64(1, "BYE")}|text ${base64(3, plain)}`,
      code: 1000,
    },
    {
      protocol: "v4.base64.channel.k8s.io",
      heard: `text 1|text ${base64(1, "BYE")}|text ${base64(3, failure)}`,
      code: 1000,
    },
    { protocol: "", heard: `\x01|\x01BYE|\x03${plain}`, code: 1000 },
  ]);
});

test("openStreamBroker refuses before the handshake what it cannot do", async () => {
  node = shout;
  assert.deepEqual(
    [
      await talk("/n1/exec?command=sh&stdout=true", ["v9.channel.k8s.io"], []),
      await talk("/n1/exec?command=sh", ["v5.channel.k8s.io"], []),
      await talk("/n2/exec?command=sh&stdout=true", ["v5.channel.k8s.io"], []),
      await talk("/n1/portforward?ports=0", ["v4.channel.k8s.io"], []),
    ],
    [
      '400 none of the WebSocket protocols "v9.channel.k8s.io" is spoken here',
      "400 you must specify at least 1 of stdin, stdout, stderr",
      '503 node "n2" is not connected',
      "400 the query must name the ports: ports=80&ports=443",
    ],
  );
});

test("openStreamBroker forwards ports over channels, each of which starts with its port", async () => {
  node = async (pipe, request) => {
    const port = request.case === "portForward" ? request.value.port : 0;
    const exit = (error: string) => ({ $typeName: "naru.node.v1.Exit" as const, exitCode: 0, error });
    if (port === 81) {
      await pipe.send(frame({ case: "exit", value: exit("refused") }));
      return;
    }
    for await (const { content } of pipe.frames) {
      if (content.case !== "stdin") continue;
      await pipe.send(frame({ case: "stdout", value: content.value }));
      await pipe.send(frame({ case: "exit", value: exit("") }));
    }
  };
  const outcome = await talk("/n1/portforward?ports=80&ports=81", ["v4.channel.k8s.io"], [Buffer.from("\x00ping")]);
  assert(typeof outcome === "object");
  assert.deepEqual(
    outcome.heard.split("|").sort(),
    [
      "\x00P\x00",
      "\x00ping",
      "\x01P\x00",
      "\x02Q\x00",
      "\x03Q\x00",
      "\x03error forwarding port 81 to pod web, uid u: refused",
    ].sort(),
  );
});

test("openStreamBroker ends each direction of a forwarded port by itself in version 5", async () => {
  node = async (pipe) => {
    let heard = "";
    for await (const { content } of pipe.frames) {
      if (content.case === "stdin") heard += Buffer.from(content.value).toString();
      if (content.case === "stdinEnd") break;
    }
    await pipe.send(frame({ case: "stdout", value: Buffer.from(heard.toUpperCase()) }));
    await pipe.send(
      frame({ case: "exit", value: { $typeName: "naru.node.v1.Exit" as const, exitCode: 0, error: "" } }),
    );
  };
  const path = "/n1/portforward?ports=80";
  const outcome = await talk(path, ["v5.channel.k8s.io"], [Buffer.from("\x00ping"), Buffer.from([255, 0])]);
  assert(typeof outcome === "object");
  assert.deepEqual(outcome.heard.split("|"), ["\x00P\x00", "\x01P\x00", "\x00PING", "\xff\x00"]);
});

test("openStreamBroker tells the node when the client goes, and closes on messages beyond the bound", async () => {
  const left: string[] = [];
  node = async (pipe) => {
    pipe.signal.addEventListener("abort", () => left.push("left"));
    for await (const _ of pipe.frames);
  };
  const socket = new WebSocket(`ws://${address()}/n1/exec?command=sh&stdin=true`, ["v5.channel.k8s.io"]);
  await once(socket, "open");
  socket.terminate();
  const big = await talk("/n1/exec?command=sh&stdin=true", ["v5.channel.k8s.io"], [Buffer.alloc(5_000_000)]);
  while (left.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(typeof big === "object" ? big.code : big, 1009);
});

test("openStreamBroker answers a handshake without a key", async () => {
  node = shout;
  const [host = "", port] = address().split(":");
  const socket = connect(Number(port), host);
  socket.write(
    "GET /n1/exec?command=sh&stdout=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  assert.match(answer, /^HTTP\/1.1 400 BadRequest\r\n.*Sec-WebSocket-Key/s);
});
