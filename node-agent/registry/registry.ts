// The cluster's registry as every client knows it: the OCI distribution spec at /v2/ of every node. What a repository has is kept by one
// node, its home, to which the others pass on what they are asked.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import type { ClusterPeers } from "../images/cluster-peers.ts";
import { isObject } from "../images/manifest.ts";
import type { OpenedImages } from "../images/open-images.ts";
import type { PushedImages } from "../images/pushed-images.ts";
import type { PushedManifest } from "../images/records.ts";
import { type Caller, callerOf, openAccess, type ReviewToken, type Verb } from "./access.ts";
import { RegistryError, refuse } from "./errors.ts";
import { callerHeader, decodeCaller, RegistryPeers } from "./peers.ts";
import {
  type PullContext,
  sendCatalog,
  sendJson,
  sendManifest,
  sendReferrers,
  sendStoredBlob,
  sendTags,
} from "./pull.ts";
import { type Exchange, goOnUploading, putManifest, startUpload } from "./push.ts";
import { methodsOf, type Route, readRoute } from "./routes.ts";

export interface RegistryOptions {
  readonly images: OpenedImages;
  readonly peers: ClusterPeers;
  readonly review: ReviewToken;
  readonly clock: Clock;
}

/** Answers requests below /v2; false for others. */
export type RegistryHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface ClusterRegistry extends Disposable {
  readonly handle: RegistryHandler;
}

/** Every node has a door for it there. */
export const registryPort = 5000;

const nodePrefix = "system:node:";
/** Where nodes tell one another of their names. */
const namesPath = "/v2/_naru/names";
const referrersPath = "/v2/_naru/referrers";

export function openRegistry({ images, peers, review, clock }: RegistryOptions): ClusterRegistry {
  const { pushed, door } = images;
  const access = openAccess(review, clock);
  const others = new RegistryPeers(peers);
  const push = { pushed, clock };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const [path = "", search = ""] = (request.url ?? "").split("?", 2);
    const forwarded = forwardedCaller(request);
    const query = new URLSearchParams(search);
    const told = forwarded === undefined ? undefined : tellPeer(pushed, path, query);
    if (told !== undefined) return sendJson(response, told, "application/json");
    const route = readRoute(path);
    const method = request.method ?? "";
    if (!methodsOf[route.type].includes(method))
      throw new RegistryError(405, "UNSUPPORTED", `${path} takes ${methodsOf[route.type].join(", ")}`);
    const repository = "repository" in route ? route.repository : "";
    const caller = forwarded ?? (await access.check(request, { verb: verbOf(route, method), repository }));
    const exchange: Exchange = { request, response, query, caller };
    const home =
      forwarded === undefined && repository !== "" && route.type !== "referrers"
        ? others.homeOf(repository)
        : undefined;
    if (home !== undefined && (await forwardsTo(others, home, exchange, route))) return;
    const pull: PullContext = {
      ...{ pushed, door },
      referrersOfOthers: async (repository, subject) => {
        const asked = `${referrersPath}?${new URLSearchParams({ repository, subject })}`;
        return (await others.gather(asked, caller)).flatMap((answer) => answer as readonly PushedManifest[]);
      },
      pull: (reference) => images.pull(reference, { credentials: [] }),
      tagsOfAll: async () => mergeTags([pushed.tags(), ...(await others.gather(namesPath, caller)).map(readTags)]),
    };
    await dispatch({ pull, push }, exchange, route);
  };
  return {
    handle: (request, response) => {
      if (!/^\/v2(?:[/?]|$)/.test(request.url ?? "")) return false;
      response.setHeader("docker-distribution-api-version", "registry/2.0");
      answer(request, response).catch((error) => refuse(response, error));
      return true;
    },
    [Symbol.dispose]: () => others[Symbol.dispose](),
  };
}

async function dispatch(
  { pull, push }: { readonly pull: PullContext; readonly push: Parameters<typeof startUpload>[0] },
  exchange: Exchange,
  route: Route,
): Promise<void> {
  const { request, response } = exchange;
  switch (route.type) {
    case "base":
      sendJson(response, {}, "application/json");
      return;
    case "catalog":
      return await sendCatalog(pull, exchange);
    case "tags":
      return await sendTags(pull, exchange, route);
    case "referrers":
      return await sendReferrers(pull, exchange, route);
    case "uploads":
      return await startUpload(push, exchange, route);
    case "upload":
      return await goOnUploading(push, exchange, route);
    case "blob":
      return await sendStoredBlob(pull, exchange, route);
    case "manifest":
      if (request.method === "PUT") return await putManifest(push, exchange, route);
      if (request.method !== "DELETE") return await sendManifest(pull, exchange, route);
      if (!(await push.pushed.remove(route.reference)))
        throw new RegistryError(404, "MANIFEST_UNKNOWN", "the home of this repository has no such manifest");
      response.writeHead(202, { "content-length": 0 }).end();
  }
}

// What is only read, another node can have too.
async function forwardsTo(
  others: RegistryPeers,
  home: Parameters<RegistryPeers["forward"]>[0],
  exchange: Exchange,
  route: Route,
): Promise<boolean> {
  const { method } = exchange.request;
  try {
    await others.forward(home, exchange);
    return true;
  } catch (error) {
    const reads = (route.type === "manifest" || route.type === "blob") && (method === "GET" || method === "HEAD");
    if (!reads || exchange.response.headersSent) throw error;
    return false;
  }
}

/** What nodes ask one another beyond the spec; undefined for other paths. */
function tellPeer(pushed: PushedImages, path: string, query: URLSearchParams): object | undefined {
  if (path === namesPath) return Object.fromEntries([...pushed.tags()].map(([name, tags]) => [name, [...tags]]));
  if (path !== referrersPath) return undefined;
  return pushed.referrers(query.get("repository") ?? "", query.get("subject") ?? "");
}

/** The one for whom another node asks. */
function forwardedCaller(request: IncomingMessage): Caller | undefined {
  const header = request.headers[callerHeader];
  if (typeof header !== "string" || callerOf(request)?.name.startsWith(nodePrefix) !== true) return undefined;
  return decodeCaller(header);
}

function verbOf({ type }: Route, method: string): Verb {
  if (type === "uploads" || type === "upload") return "create";
  if (type !== "manifest") return "get";
  return method === "PUT" ? "create" : method === "DELETE" ? "delete" : "get";
}

function mergeTags(all: readonly ReadonlyMap<string, ReadonlySet<string>>[]): ReadonlyMap<string, ReadonlySet<string>> {
  const merged = new Map<string, Set<string>>();
  for (const [name, tags] of all.flatMap((each) => [...each]))
    merged.set(name, new Set([...(merged.get(name) ?? []), ...tags]));
  return merged;
}

function readTags(value: unknown): ReadonlyMap<string, ReadonlySet<string>> {
  const entries = isObject(value) ? Object.entries(value) : [];
  return new Map(entries.map(([name, tags]) => [name, new Set(Array.isArray(tags) ? tags.map(String) : [])]));
}
