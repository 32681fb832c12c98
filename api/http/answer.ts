// Writes answers: JSON that has been encoded already, compressed when it is large, or a Status.
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Status } from "../kinds/generated/types.ts";
import { ApiError } from "../kinds/status.ts";
import { storeRefusal } from "../verbs/commit.ts";
import { type Exchange, header, type RawResponse } from "./exchange.ts";
import { isTrue } from "./request-info.ts";

const compress = promisify(gzip);
/** As Kubernetes does: below this, compressing costs more than it saves. */
const gzipBytesMin = 128 * 1024;

export interface Answer {
  readonly code?: number;
  readonly body: Uint8Array;
  readonly type?: string;
  readonly yaml?: boolean;
}

export async function sendBytes(exchange: Exchange, answer: Answer): Promise<void> {
  const { response } = exchange;
  let body = answer.body;
  const headers: Record<string, string | number | readonly string[]> = {
    "content-type": answer.type ?? "application/json",
    "cache-control": "no-cache, private",
  };
  if (answer.yaml === true) {
    // Loaded when the first client wants it, as where bodies are read.
    const { stringify } = await import("yaml");
    body = Buffer.from(stringify(JSON.parse(Buffer.from(body).toString())));
    headers["content-type"] = "application/yaml";
  } else if (exchange.query.has("pretty") && isTrue(exchange.query.get("pretty")) && answer.type === undefined) {
    body = Buffer.from(`${JSON.stringify(JSON.parse(Buffer.from(body).toString()), null, 2)}\n`);
  }
  if (exchange.warnings.length > 0) headers["warning"] = exchange.warnings.map(warningHeader);
  if (body.length >= gzipBytesMin && /\bgzip\b/.test(header(exchange, "accept-encoding") ?? "")) {
    body = await compress(body, { level: 1 });
    headers["content-encoding"] = "gzip";
    headers["vary"] = "Accept-Encoding";
  }
  headers["content-length"] = body.length;
  writeHead(response, answer.code ?? 200, headers);
  if (exchange.method === "HEAD") response.end();
  else response.end(body);
}

export function sendJson(exchange: Exchange, value: unknown, code = 200): Promise<void> {
  return sendBytes(exchange, { code, body: Buffer.from(JSON.stringify(value)) });
}

/** Any error as a Status; what is no ApiError is a bug of ours and tells no details. */
export async function sendError(exchange: Exchange, error: unknown): Promise<number> {
  const refusal = asApiError(error);
  if (exchange.response.headersSent) {
    exchange.response.destroy();
    return refusal.code;
  }
  const retry = refusal.details?.retryAfterSeconds;
  if (retry !== undefined) exchange.response.setHeader("retry-after", String(retry));
  exchange.warnings.length = 0;
  await sendJson(exchange, refusal.toStatus(), refusal.code);
  return refusal.code;
}

export function asApiError(error: unknown): ApiError {
  const refusal = storeRefusal(error);
  if (refusal instanceof ApiError) return refusal;
  return new ApiError("InternalError", "Internal error occurred: see the server's log", { cause: error });
}

export function success(details: Status["details"]): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    ...(details === undefined ? {} : { details }),
  };
}

/** HTTP/1.1 and HTTP/2 responses differ in their types only. */
export function writeHead(
  response: RawResponse,
  code: number,
  headers: Readonly<Record<string, string | number | readonly string[]>>,
): void {
  for (const [name, value] of Object.entries(headers)) {
    response.setHeader(name, typeof value === "object" ? [...value] : value);
  }
  response.statusCode = code;
}

/** RFC 7234 section 5.5, with Kubernetes' code. */
function warningHeader(message: string): string {
  const text = message.replaceAll(/[^\x20-\x7e]/g, "?").replaceAll(/(["\\])/g, "\\$1");
  return `299 - "${text}"`;
}
