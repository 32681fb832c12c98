// The HTTP door: sockets, versions of the API, errors as Docker spells them, and connections that become streams ("Upgrade: tcp").
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { Duplex, Readable } from "node:stream";
import type { SecureContextOptions } from "node:tls";
import type { Logger } from "../../../lib/log.ts";
import { http } from "../../../lib/node-http.ts";
import { DockerProblem, messageOf } from "./problem.ts";
import { Query } from "./query.ts";
import { bodyMsMax, type Call, json, type Reply } from "./reply.ts";
import { type Router, splitVersion } from "./router.ts";

export const apiVersion = { least: 24, most: 50 } as const;

export interface HttpDoorOptions {
  readonly router: Router;
  readonly log: Logger;
  readonly serverName: string;
  /** Every reply carries them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why whoever is behind this connection gets no answer; absent: everybody does. */
  readonly refuse?: (socket: Duplex) => string | undefined;
}

const bodyAfterUpgradeBytesMax = 1024 * 1024;
const halfOpenMsMax = 10_000;
const probeMs = 1_000;
const frameBytesMax = 1024 * 1024;

/** Not listening yet. With `tls` only clients with a certificate of its authority get in. */
export function openHttpServer(options: HttpDoorOptions, tls?: SecureContextOptions): Server | TlsServer {
  // Pulls and builds answer for as long as they last, and idle connections belong to clients that keep them.
  const settings = { keepAliveTimeout: 600_000, requestTimeout: 0, headersTimeout: 60_000, allowHalfOpen: true };
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    void answerPlainly(options, request, response);
  };
  const server =
    tls === undefined
      ? http.createServer(settings, onRequest)
      : createTlsServer(
          { ...settings, ...tls, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" },
          onRequest,
        );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void answerUpgrade(options, { request, socket, head });
  });
  server.on("clientError", refuseGarbage);
  return server;
}

/** What is no request is told so, in one write: whoever sends such is not waited for. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Duplex): void {
  socket.on("error", () => {});
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status = clientErrors[error.code ?? ""] ?? 400;
  const body = `${JSON.stringify({ message: `not a request: ${error.message}` })}\n`;
  const headers = { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) };
  socket.end(headText(status, { ...headers, Connection: "close" }) + body, () => socket.destroy());
}

/**
 * A client that said its last word may still listen, or be gone altogether: only what is written to it tells which, and nothing at all
 * is enough. Without that a silent container would hold the connections of clients that were killed.
 */
function noticeEnd(socket: Duplex): void {
  const probe = () => {
    if (socket.writable) socket.write(Buffer.alloc(0));
  };
  const again = setInterval(probe, probeMs);
  socket.once("close", () => clearInterval(again));
  probe();
}

/** Ends our side; a client that keeps its own open is not kept for ever. */
function closeSoon(socket: Duplex): void {
  socket.end();
  socket.resume();
  const late = setTimeout(() => socket.destroy(), halfOpenMsMax);
  socket.once("close", () => clearTimeout(late));
}

const clientErrors: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

async function answerPlainly(
  options: HttpDoorOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the client is gone")));
  response.on("error", () => {});
  const reply = await handle(options, request, { body: request, signal: gone.signal });
  // The rest of a body that is too large is not waited for.
  const isTooLarge = reply.type === "whole" && reply.status === 413;
  const headers = {
    ...{ ...options.headers, Server: options.serverName },
    ...(isTooLarge ? { Connection: "close" } : {}),
  };
  try {
    await send(response, reply, headers, gone.signal);
  } catch (error) {
    if (!gone.signal.aborted) options.log.warn({ error: messageOf(error), path: request.url }, "a reply broke off");
    response.destroy();
  }
}

async function send(
  response: ServerResponse,
  reply: Reply,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  switch (reply.type) {
    case "whole":
      response.writeHead(reply.status, {
        ...headers,
        ...reply.headers,
        "Content-Type": reply.contentType,
        "Content-Length": Buffer.byteLength(reply.body),
      });
      response.end(reply.body);
      return;
    case "empty":
      response.writeHead(reply.status, { ...headers, ...reply.headers });
      response.end();
      return;
    case "stream":
      response.writeHead(200, { ...headers, ...reply.headers, "Content-Type": reply.contentType });
      response.flushHeaders();
      await reply.write(response, signal);
      response.end();
      return;
    case "hijack":
      // Without an upgrade the client only listens.
      response.writeHead(200, { ...headers, "Content-Type": reply.contentType });
      response.flushHeaders();
      await reply.run(Duplex.from({ readable: Readable.from([]), writable: response }), signal);
      response.end();
      return;
    case "upgrade":
      return await send(response, needsUpgrade(reply.protocol), headers, signal);
  }
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

async function answerUpgrade(options: HttpDoorOptions, { request, socket, head }: Upgrade): Promise<void> {
  const gone = new AbortController();
  socket.on("close", () => gone.abort(new Error("the client is gone")));
  socket.on("error", () => {});
  const headers = { ...options.headers, Server: options.serverName };
  socket.once("end", () => noticeEnd(socket));
  if (head.length > 0) socket.unshift(head);
  try {
    const reply = await handleUpgrade(options, { request, socket }, gone.signal);
    if (reply.type === "hijack") {
      socket.write(headText(101, { "Content-Type": reply.contentType, Connection: "Upgrade", Upgrade: "tcp" }));
      await reply.run(socket, gone.signal);
      closeSoon(socket);
      return;
    }
    if (reply.type === "upgrade" && request.headers.upgrade?.toLowerCase() === reply.protocol) {
      await reply.run(await upgraded(request, socket, reply.protocol), gone.signal);
      return;
    }
    await sendRaw(socket, reply, headers, gone.signal);
    closeSoon(socket);
  } catch (error) {
    if (!gone.signal.aborted) options.log.warn({ error: messageOf(error), path: request.url }, "a stream broke off");
    socket.destroy();
  }
}

// An endpoint that has no streams was asked for some; the connection serves this answer and ends.
async function sendRaw(
  socket: Duplex,
  reply: Exclude<Reply, { type: "hijack" }>,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const closing = { ...headers, Connection: "close" };
  switch (reply.type) {
    case "whole": {
      const length = String(Buffer.byteLength(reply.body));
      const own = { ...reply.headers, "Content-Type": reply.contentType, "Content-Length": length };
      socket.write(headText(reply.status, { ...closing, ...own }) + reply.body);
      return;
    }
    case "empty":
      socket.write(headText(reply.status, { ...closing, ...reply.headers, "Content-Length": "0" }));
      return;
    case "stream":
      socket.write(headText(200, { ...closing, ...reply.headers, "Content-Type": reply.contentType }));
      await reply.write(socket, signal);
      return;
    case "upgrade":
      return await sendRaw(socket, needsUpgrade(reply.protocol), headers, signal);
  }
}

function needsUpgrade(protocol: string): Extract<Reply, { type: "whole" }> {
  const message = `this endpoint speaks ${protocol}: ask with "Connection: Upgrade" and "Upgrade: ${protocol}"`;
  return { type: "whole", status: 400, contentType: "application/json", body: `${JSON.stringify({ message })}\n` };
}

/** The connection after its client was told to go on; of a WebSocket what its frames hold. */
async function upgraded(request: IncomingMessage, socket: Duplex, protocol: "websocket" | "h2c"): Promise<Duplex> {
  if (protocol === "h2c") {
    socket.write(headText(101, { Connection: "Upgrade", Upgrade: protocol }));
    return socket;
  }
  // Few nodes ever see one: the module is brought with the first.
  const { createWebSocketStream, WebSocketServer } = await import("ws");
  const server = new WebSocketServer({ noServer: true, maxPayload: frameBytesMax });
  return await new Promise((resolve, reject) => {
    server.once("wsClientError", reject);
    server.handleUpgrade(request, socket, Buffer.alloc(0), (client) => resolve(createWebSocketStream(client)));
  });
}

function headText(status: number, headers: Readonly<Record<string, string>>): string {
  const reason = status === 101 ? "UPGRADED" : (http.STATUS_CODES[status] ?? "");
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join("")}\r\n`;
}

async function handleUpgrade(
  options: HttpDoorOptions,
  { request, socket }: Pick<Upgrade, "request" | "socket">,
  signal: AbortSignal,
): Promise<Reply> {
  const bytes = Number(request.headers["content-length"] ?? 0);
  const refuse = (status: number, message: string) => json({ message }, status);
  if (request.headers["transfer-encoding"] !== undefined)
    return refuse(400, "a request for a stream takes a body with Content-Length, not in chunks");
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > bodyAfterUpgradeBytesMax)
    return refuse(413, `a request for a stream takes a body of ${bodyAfterUpgradeBytesMax} bytes at most`);
  const late = setTimeout(() => socket.destroy(), bodyMsMax);
  const body = await readExactly(socket, bytes).finally(() => clearTimeout(late));
  return handle(options, request, { body: Readable.from([body]), signal });
}

async function readExactly(socket: Duplex, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let missing = bytes;
  while (missing > 0) {
    const part = (socket.read() as Buffer | null) ?? undefined;
    if (part === undefined) {
      await readable(socket);
      continue;
    }
    parts.push(part.subarray(0, missing));
    if (part.length > missing) socket.unshift(part.subarray(missing));
    missing -= Math.min(part.length, missing);
  }
  return Buffer.concat(parts);
}

function readable(socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    // Its end may have come with the event before.
    if (socket.readableEnded || socket.destroyed) {
      reject(new Error("the client is gone"));
      return;
    }
    const events = ["readable", "end", "close", "error"] as const;
    const leave = () => {
      for (const event of events) socket.removeListener(event, done);
    };
    const done = () => {
      leave();
      if (socket.readableEnded || socket.destroyed) reject(new Error("the client is gone"));
      else resolve();
    };
    for (const event of events) socket.on(event, done);
  });
}

async function handle(
  options: HttpDoorOptions,
  request: IncomingMessage,
  { body, signal }: Pick<Call, "body" | "signal">,
): Promise<Reply> {
  try {
    const refusal = options.refuse?.(request.socket);
    if (refusal !== undefined) throw new DockerProblem(403, refusal);
    const url = URL.parse(request.url ?? "/", "http://docker");
    if (url === null) throw new DockerProblem(400, `${JSON.stringify(request.url)} is no path`);
    const method = request.method ?? "GET";
    const { apiMinor = apiVersion.most, path } = splitVersion(url.pathname);
    checkVersion(apiMinor);
    const match = options.router(method, path);
    if (match === "no such path") throw new DockerProblem(404, `page not found: ${path}`);
    if (match === "no such method") throw new DockerProblem(405, `${method} is not for ${path}`);
    const { params } = match;
    return await match.handler({
      method,
      params,
      query: new Query(url.search),
      headers: request.headers,
      apiMinor,
      body,
      signal,
    });
  } catch (error) {
    if (!(error instanceof DockerProblem) && !signal.aborted)
      options.log.warn({ error: messageOf(error), path: request.url }, "a request failed");
    const status = error instanceof DockerProblem ? error.status : 500;
    return json({ message: messageOf(error) }, status);
  }
}

function checkVersion(minor: number): void {
  const { least, most } = apiVersion;
  if (minor < least)
    throw new DockerProblem(400, `client version 1.${minor} is too old. Minimum supported API version is 1.${least}`);
  if (minor > most)
    throw new DockerProblem(400, `client version 1.${minor} is too new. Maximum supported API version is 1.${most}`);
}

/** Framed, as a client without a terminal reads it: stream 1 is stdout, 2 stderr. */
export function frame(stream: "stdout" | "stderr", bytes: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(stream === "stdout" ? 1 : 2, 0);
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}
