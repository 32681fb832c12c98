// Probes against real servers on loopback.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { test } from "node:test";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { realProbeTransport } from "./probe-transport.ts";

const host = "127.0.0.1";
const never = new AbortController().signal;

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

test("http gives status and body, cut to its bound", async () => {
  const server = createServer((request, response) => {
    response.writeHead(request.headers["x-key"] === "v" ? 200 : 400).end("x".repeat(100_000));
  });
  const target = {
    scheme: "http",
    host,
    port: await listen(server),
    path: "/",
    headers: [{ name: "X-Key", value: "v" }],
  } as const;
  const { status, body } = await realProbeTransport.http(target, 5000, never);
  server.close();
  assert.deepEqual([status, body.length], [200, 10 * 1024]);
});

test("http follows redirects within its host, and takes others for the answer", async () => {
  const server = createServer((request, response) => {
    const to: Readonly<Record<string, string>> = { "/a": "/b", "/out": "http://192.0.2.1/", "/round": "/round" };
    const location = to[request.url ?? ""];
    if (location === undefined) response.writeHead(request.url === "/b" ? 503 : 200).end();
    else response.writeHead(302, { location }).end();
  });
  const port = await listen(server);
  const ask = (path: string) =>
    realProbeTransport.http({ scheme: "http", host, port, path, headers: [] }, 5000, never).then(
      ({ status }) => status,
      (error: Error) => error.message,
    );
  const answers = [await ask("/a"), await ask("/out"), await ask("/round"), await ask("/")];
  server.close();
  assert.deepEqual(answers, [503, 302, `Get "http://127.0.0.1:${port}/round": stopped after 10 redirects`, 200]);
});

test("http says that a server does not speak TLS", async () => {
  const server = createServer((_, response) => response.end());
  const port = await listen(server);
  const target = { scheme: "https", host, port, path: "/", headers: [] } as const;
  await assert.rejects(realProbeTransport.http(target, 5000, never), {
    message: `Get "https://127.0.0.1:${port}/": server gave no TLS response`,
  });
  server.close();
});

test("http rejects when nothing answers in time", async () => {
  const server = createTcpServer(() => {});
  const target = { scheme: "http", host, port: await listen(server), path: "/", headers: [] } as const;
  await assert.rejects(
    realProbeTransport.http(target, 20, never),
    /^Error: Get "http:.*": context deadline exceeded \(Client.Timeout exceeded while awaiting headers\)$/,
  );
  server.close();
});

test("tcp resolves for a listener and every kind rejects without one, in Kubernetes' words", async () => {
  const server = createTcpServer((socket) => socket.destroy());
  const port = await listen(server);
  await realProbeTransport.tcp({ host, port }, 5000, never);
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(realProbeTransport.tcp({ host, port }, 5000, never), {
    message: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  const target = { scheme: "http", host, port, path: "/live", headers: [] } as const;
  await assert.rejects(realProbeTransport.http(target, 5000, never), {
    message: `Get "http://127.0.0.1:${port}/live": dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  await assert.rejects(realProbeTransport.grpc({ host, port, service: "" }, 5000, never), {
    message: `timeout: failed to connect service "127.0.0.1:${port}" within 5s: connection refused`,
  });
});

test("grpc gives the serving status of the named service", async () => {
  const server = new GrpcServer();
  const handler = {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  server.addService(
    { check: handler },
    {
      check: (call: { request: Buffer }, answer: (error: null, bytes: Buffer) => void) =>
        answer(null, Buffer.from([0x08, call.request.toString("latin1").endsWith("web") ? 1 : 2])),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:0`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const statuses = [
    await realProbeTransport.grpc({ host, port, service: "web" }, 5000, never),
    await realProbeTransport.grpc({ host, port, service: "" }, 5000, never),
  ];
  server.forceShutdown();
  assert.deepEqual(statuses, [1, 2]);
});
