// HTTPS requests with kept connections: JSON in, JSON or a stream out, a Status as an ApiError.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { Status } from "../api/kinds/generated/types.ts";
import { ApiError, errorFromStatus } from "../api/kinds/status.ts";
import type { Connection } from "./kubeconfig.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  /** A body to stream instead. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Of the body; application/json when absent. */
  readonly type?: string;
  readonly accept?: string;
  /** Told the messages of Warning headers. */
  readonly warn?: (message: string) => void;
  readonly signal?: AbortSignal;
}

export interface Transport extends Disposable {
  /** The parsed JSON body. Rejects with ApiError for refusals and for a server that cannot be reached. */
  json(request: HttpRequest): Promise<unknown>;
  /** The body as it comes, once the server has answered well. */
  stream(request: HttpRequest): Promise<IncomingMessage>;
  /** For connections that are opened otherwise, such as WebSockets. */
  readonly connection: Connection;
}

const socketsMax = 64;
const answerBytesMax = 256 * 1024 * 1024;

export function httpsTransport(connection: Connection): Transport {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: Number.POSITIVE_INFINITY,
    maxFreeSockets: socketsMax,
    ...tlsOptions(connection),
  });
  const stream = (request: HttpRequest) => send(connection, agent, request);
  return {
    connection,
    stream,
    json: async (request) => {
      const bytes = await collect(await stream(request));
      return bytes.length === 0 ? undefined : JSON.parse(bytes.toString());
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

export function tlsOptions(
  connection: Connection,
): SecureContextOptions & { rejectUnauthorized: boolean; servername?: string } {
  const { authorityPem, certificatePem, keyPem, serverName, insecure } = connection;
  return {
    ...(authorityPem === undefined ? {} : { ca: authorityPem }),
    ...(certificatePem === undefined ? {} : { cert: certificatePem }),
    ...(keyPem === undefined ? {} : { key: keyPem }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: insecure !== true,
  };
}

async function send(connection: Connection, agent: Agent, request: HttpRequest): Promise<IncomingMessage> {
  const { method, path, body, input, type = "application/json", signal } = request;
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const outgoing = httpsRequest(new URL(path, connection.server), {
    method,
    agent,
    headers: {
      accept: request.accept ?? "application/json",
      "user-agent": "naru/0.1",
      ...(connection.token === undefined ? {} : { authorization: `Bearer ${connection.token}` }),
      ...(bytes === undefined && input === undefined ? {} : { "content-type": type }),
      ...(bytes === undefined ? {} : { "content-length": bytes.length }),
    },
    ...(signal === undefined ? {} : { signal }),
  });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  if (input === undefined) outgoing.end(bytes);
  else void pour(input, outgoing).catch((error: Error) => outgoing.destroy(error));
  const [response] = await answered.catch((cause: unknown) => {
    if (signal?.aborted === true) throw signal.reason;
    throw new ApiError("ServiceUnavailable", `the server ${connection.server} cannot be reached: ${wordsOf(cause)}`, {
      cause,
    });
  });
  for (const warning of warningsOf(response)) request.warn?.(warning);
  if ((response.statusCode ?? 500) < 400) return response;
  throw errorOf(response.statusCode ?? 500, (await collect(response)).toString());
}

async function pour(input: AsyncIterable<Uint8Array>, outgoing: ReturnType<typeof httpsRequest>): Promise<void> {
  for await (const chunk of input) if (!outgoing.write(chunk)) await once(outgoing, "drain");
  outgoing.end();
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      response.destroy();
      throw new ApiError("RequestEntityTooLarge", `the server's answer has more than ${answerBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function errorOf(code: number, text: string): ApiError {
  try {
    const status = JSON.parse(text) as Status;
    if (status?.kind === "Status") return errorFromStatus(status);
  } catch {
    // Not ours: a proxy's page, perhaps. Its text is all that is known.
  }
  return new ApiError("InternalError", `the server answered ${code}: ${text.slice(0, 500)}`);
}

function warningsOf(response: IncomingMessage): readonly string[] {
  const text = response.headers["warning"] ?? "";
  return [...String(text).matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] ?? "").replaceAll(/\\(.)/g, "$1"),
  );
}

const wrongAuthority = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
]);

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (code === "ECONNREFUSED") return `${message}: nothing listens there`;
  if (wrongAuthority.has(code)) return `its certificate is not of the authority that the kubeconfig names (${message})`;
  return message;
}
