// The HTTPS door: TLS with HTTP/2 and HTTP/1.1, client certificates asked for, every request to handle.ts.
import type { IncomingMessage } from "node:http";
import type { Http2SecureServer, Http2ServerRequest } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { fastify } from "fastify";
import type { Registry } from "prom-client";
import { describeCertificate, type KeyPair } from "../../lib/certificate.ts";
import { endWithConnections } from "../../lib/server-connections.ts";
import { userOf } from "../authentication/client-certificate.ts";
import { type ServiceAccountTokens, serviceAccountTokens } from "../authentication/service-account-token.ts";
import type { User } from "../authentication/user.ts";
import { impersonate } from "../authorization/impersonate.ts";
import { kinds } from "../kinds/list.ts";
import { ApiError } from "../kinds/status.ts";
import { apiMetrics } from "../metrics.ts";
import type { Api } from "../server.ts";
import { refuseUpgrade } from "../streams/upgrade-answer.ts";
import { qualified } from "../verbs/refusals.ts";
import { documents } from "./documents.ts";
import type { Door, RawRequest } from "./exchange.ts";
import { admit, type HandlerOptions, handle } from "./handle.ts";
import { FailureLimiter } from "./join.ts";
import { planUpgrade } from "./pod-streams.ts";
import { readRequest } from "./request-info.ts";
import type { StreamBroker } from "./stream-broker.ts";

export interface HttpsOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly server: KeyPair;
  readonly authority: KeyPair;
  readonly registry: Registry;
  /** Naru's version. */
  readonly version: string;
  /** Absent: exec, logs and images are refused with ServiceUnavailable. */
  readonly broker?: StreamBroker;
  /** Signs the tokens of service accounts; absent: there are none. */
  readonly tokenKeyPem?: string;
}

export interface HttpsDoor extends AsyncDisposable {
  readonly port: number;
  /** For new connections. */
  renew(server: KeyPair): void;
}

const headersMsMax = 30_000;
const concurrentStreamsMax = 1000;

function noSchemas(): never {
  throw new Error("bug: a route has a schema");
}

/** Resolves when it listens. */
export async function serveHttps(api: Api, options: HttpsOptions): Promise<HttpsDoor> {
  const closing = new AbortController();
  const app = fastify({
    http2: true,
    https: {
      allowHTTP1: true,
      ...secrets(options.server, options.authority),
      requestCert: true,
      // Strangers may come in as far as the health checks and the join route; admit() refuses the rest.
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      settings: { maxConcurrentStreams: concurrentStreamsMax },
    },
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    // No route has a schema of Fastify's; its own compilers would take 3 MB.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });
  const server: Http2SecureServer = app.server;
  const handler = handlerOptions(api, options, { server, signal: closing.signal });
  // Bodies are read by the handlers, which know how large they may be.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  app.setNotFoundHandler((request, reply) => {
    reply.hijack();
    void handle(handler, request.raw, reply.raw);
  });
  server.on("secureConnection", (socket: TLSSocket) => socket.on("error", () => socket.destroy()));
  // HTTP/2 sessions and watches do not end by themselves when the server closes.
  const end = endWithConnections(server);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void upgrade(handler, { request, socket, head });
  });
  Object.assign(server, { headersTimeout: headersMsMax, requestTimeout: 0 });
  await app.listen({ host: options.host, port: options.port });
  return {
    port: (server.address() as AddressInfo).port,
    renew: (pair) => server.setSecureContext(secrets(pair, options.authority)),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await end();
      await app.close();
    },
  };
}

/** The chain carries the authority, so that a joining machine can compare it with its token. */
function secrets(server: KeyPair, authority: KeyPair) {
  return { key: server.keyPem, cert: server.certificatePem + authority.certificatePem, ca: authority.certificatePem };
}

function handlerOptions(
  api: Api,
  { registry, authority, server: own, version, broker, tokenKeyPem }: HttpsOptions,
  { server, signal }: { readonly server: Http2SecureServer; readonly signal: AbortSignal },
): HandlerOptions {
  const { cache, clock } = api.context;
  const tokens = tokenKeyPem === undefined ? undefined : serviceAccountTokens(tokenKeyPem, api.context);
  const door: Door = { context: api.context, verbs: api.verbs, broker, tokens };
  const metrics = apiMetrics(registry, {
    objects: () => kinds.map(({ resource }) => [qualified(resource), cache.count(resource)] as const),
    revision: () => cache.revision,
  });
  const serverAddress = () => {
    const { address, port } = server.address() as AddressInfo;
    return `${address}:${port}`;
  };
  const join = {
    authority,
    serverHosts: describeCertificate(own.certificatePem).hosts,
    limiter: new FailureLimiter(clock),
  };
  const isReady = () => !signal.aborted;
  return {
    door,
    metrics,
    documents: documents({ door, join, metrics, serverAddress, version, isReady }),
    identify: async (request) => impersonate(await identify(request, tokens), request.rawHeaders),
    signal,
  };
}

/** A token in the request goes before the connection's certificate. */
function identify(request: RawRequest, tokens: ServiceAccountTokens | undefined): User | Promise<User> {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (token !== undefined && tokens !== undefined && token.split(".").length === 3) return tokens.identify(token);
  const session = (request as Http2ServerRequest).stream?.session;
  // HTTP/2 hides the socket behind a proxy that is made anew for each question: the session stands for the connection.
  return session == null
    ? userOf(request.socket, request.socket as TLSSocket)
    : userOf(session, session.socket as TLSSocket);
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

async function upgrade(options: HandlerOptions, { request, socket, head }: Upgrade): Promise<void> {
  socket.on("error", () => socket.destroy());
  const { door, signal } = options;
  try {
    const { pathname, searchParams: query } = urlOf(request);
    const info = readRequest(request.method ?? "GET", pathname, query);
    admit(await options.identify(request), info);
    if (info.type !== "resource" || door.broker === undefined)
      throw new ApiError("BadRequest", `nothing at ${pathname} can be upgraded`);
    options.metrics.inFlight(info.attributes, 1);
    try {
      await door.broker.upgrade(planUpgrade(door, info, { request, socket, head, query, signal }));
    } finally {
      options.metrics.inFlight(info.attributes, -1);
    }
  } catch (error) {
    door.context.log.debug({ error, path: request.url }, "a connection was not upgraded");
    refuseUpgrade(socket, error);
  }
}

function urlOf({ url = "/" }: IncomingMessage): URL {
  const parsed = URL.parse(url, "https://server");
  if (parsed === null) throw new ApiError("BadRequest", `${JSON.stringify(url)} is no path`);
  return parsed;
}
