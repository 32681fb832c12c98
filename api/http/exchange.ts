// One request and its answer, the same over HTTP/1.1 and HTTP/2.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { ServiceAccountTokens } from "../authentication/service-account-token.ts";
import type { User } from "../authentication/user.ts";
import type { Context } from "../verbs/context.ts";
import type { Verbs } from "../verbs/verbs.ts";
import type { StreamBroker } from "./stream-broker.ts";

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

export interface Exchange {
  readonly request: RawRequest;
  readonly response: RawResponse;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly user: User;
  /** Aborted when the client goes away or the server closes. */
  readonly signal: AbortSignal;
  /** Becomes Warning headers. */
  readonly warnings: string[];
}

/** What the handlers work with. */
export interface Door {
  readonly context: Context;
  readonly verbs: Verbs;
  readonly broker: StreamBroker | undefined;
  /** Absent: none are signed, and none are believed. */
  readonly tokens: ServiceAccountTokens | undefined;
}

export function header(exchange: Pick<Exchange, "request">, name: string): string | undefined {
  const value = exchange.request.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}
