// One request from its first line to its answer: who, what, may they, do it, count it.

import { anonymous, type User } from "../authentication/user.ts";
import type { Attributes } from "../authorization/attributes.ts";
import { authorize } from "../authorization/authorize.ts";
import { ApiError } from "../kinds/status.ts";
import type { ApiMetrics } from "../metrics.ts";
import { sendError } from "./answer.ts";
import type { Door, Exchange, RawRequest, RawResponse } from "./exchange.ts";
import { sendLog } from "./pod-streams.ts";
import { noSuchResource, type PathRequest, type RequestInfo, readRequest } from "./request-info.ts";
import { handleResource } from "./resources.ts";
import { handleReview } from "./reviews.ts";
import { subresourceHandlers } from "./subresources.ts";
import { handleUsage } from "./usage.ts";
import { usageResources } from "./usage-resources.ts";

export interface HandlerOptions {
  readonly door: Door;
  readonly metrics: ApiMetrics;
  readonly documents: (exchange: Exchange, info: PathRequest) => Promise<number>;
  /** Rejects with Unauthorized for a token that is wrong. */
  readonly identify: (request: RawRequest) => User | Promise<User>;
  /** Aborted when the server closes. */
  readonly signal: AbortSignal;
}

/** Never rejects. */
export async function handle(options: HandlerOptions, request: RawRequest, response: RawResponse): Promise<void> {
  const { door, metrics } = options;
  const start = door.context.clock.monotonicMs();
  const { exchange: stranger, release } = openExchange(options, request, response);
  let exchange = stranger;
  let seen: Seen = {
    attributes: { type: "path", verb: exchange.method.toLowerCase(), path: exchange.path },
    version: "",
  };
  let counted = false;
  let code = 500;
  try {
    const info = readRequest(exchange.method, exchange.path, exchange.query);
    seen = { attributes: info.attributes, version: info.type === "resource" ? info.resource.version : "" };
    metrics.inFlight(seen.attributes, 1);
    counted = true;
    exchange = { ...stranger, user: await options.identify(request) };
    admit(exchange.user, info);
    code = await dispatch(options, exchange, info);
  } catch (error) {
    code = await fail(options, exchange, error);
  } finally {
    release();
    if (counted) metrics.inFlight(seen.attributes, -1);
    metrics.observe({ ...seen, code, seconds: (door.context.clock.monotonicMs() - start) / 1000 });
  }
}

interface Seen {
  readonly attributes: Attributes;
  readonly version: string;
}

/** Throws Unauthorized for strangers where something would have to be allowed, Forbidden for others. */
export function admit(user: User, info: RequestInfo): void {
  // The token is the way in: its handler checks it.
  if (info.type === "path" && info.path === "/naru/v1/join") return;
  try {
    authorize(user, info.attributes);
  } catch (error) {
    if (user === anonymous) throw new ApiError("Unauthorized", "Unauthorized", { cause: error });
    throw error;
  }
}

function dispatch({ door, documents }: HandlerOptions, exchange: Exchange, info: RequestInfo): Promise<number> {
  if (info.type === "path") return documents(exchange, info);
  const { kind, resource, subresource } = info;
  if (usageResources.includes(resource)) return handleUsage(door, exchange, info);
  if (kind === undefined) return handleReview(exchange, info);
  if (subresource === "" || subresource === "status" || kind.parts?.[subresource] !== undefined)
    return handleResource(door, exchange, info, kind);
  const path = `${resource.resource}/${subresource}`;
  if (path === "pods/log") return sendLog(door, exchange, info);
  const handler = subresourceHandlers[path];
  if (handler !== undefined) return handler(door, exchange, info, kind);
  if (["exec", "attach", "portforward"].includes(subresource)) {
    throw new ApiError("BadRequest", "Upgrade request required");
  }
  throw noSuchResource(`: this cluster serves no ${path}`);
}

async function fail({ door }: HandlerOptions, exchange: Exchange, error: unknown): Promise<number> {
  if (exchange.signal.aborted) {
    exchange.response.destroy();
    return 499;
  }
  if (!(error instanceof ApiError)) {
    const { method, path } = exchange;
    door.context.log.error({ error, method, path }, "a request failed");
  }
  return sendError(exchange, error).catch(() => 499);
}

function openExchange(
  { signal: closing }: HandlerOptions,
  request: RawRequest,
  response: RawResponse,
): { readonly exchange: Exchange; readonly release: () => void } {
  const gone = new AbortController();
  const abort = () => gone.abort();
  // A response that closes before it has ended: the client has left.
  response.on("close", abort);
  closing.addEventListener("abort", abort, { once: true });
  if (closing.aborted) abort();
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  return {
    exchange: {
      request,
      response,
      method: request.method ?? "GET",
      path: mark < 0 ? url : url.slice(0, mark),
      query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
      user: anonymous,
      signal: gone.signal,
      warnings: [],
    },
    release: () => {
      closing.removeEventListener("abort", abort);
      response.off("close", abort);
    },
  };
}
