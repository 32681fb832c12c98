// LIST: selectors, and pages that all show the same revision.
import type { CachedItem } from "../cache/watch-cache.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { type Collection, type Context, targetKey } from "./context.ts";
import { parseRevision, reachRevision } from "./freshness.ts";
import { type Selection, type Selectors, selectionOf } from "./selection.ts";

export interface ListRequest extends Collection, Selectors {
  /** Objects per page; 0 or absent: all. */
  readonly limit?: number;
  /** From the page before. */
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan";
}

export interface ListResult {
  readonly revision: number;
  readonly items: readonly CachedItem[];
  readonly continue?: string;
  readonly remaining?: number;
}

const pageItemsMin = 500;

/** Refuses with BadRequest (selectors, token) or Expired (token too old). */
export async function listObjects(context: Context, request: ListRequest, signal?: AbortSignal): Promise<ListResult> {
  const selection = selectionOf(request.kind, request.namespace, request);
  const token = request.continue === undefined || request.continue === "" ? undefined : readToken(request.continue);
  checkMatch(request, token !== undefined);
  if (token !== undefined) return listPage(context, request, selection, token);
  await reachRevision(context, request.resourceVersion, signal);
  const exact = request.resourceVersionMatch === "Exact" ? parseRevision(request.resourceVersion) : undefined;
  if ((request.limit ?? 0) > 0 || exact !== undefined) {
    return listPage(context, request, selection, { revision: exact });
  }
  return listAll(context, request, selection);
}

function checkMatch(request: ListRequest, continues: boolean): void {
  const { resourceVersion = "", resourceVersionMatch: match } = request;
  if (continues && resourceVersion !== "" && resourceVersion !== "0") {
    throw new ApiError("BadRequest", "specifying resource version is not allowed when using continue");
  }
  if (match === undefined) return;
  if (continues) throw new ApiError("BadRequest", "resourceVersionMatch is forbidden for continue");
  if (resourceVersion === "") {
    throw new ApiError("BadRequest", "resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (match === "Exact" && resourceVersion === "0") {
    throw new ApiError("BadRequest", 'resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
  }
}

function listAll(context: Context, request: ListRequest, selection: Selection): ListResult {
  const { cache } = context;
  const resource = request.kind.resource;
  const { matches, name } = selection;
  if (name !== undefined && (request.namespace !== undefined || !resource.namespaced)) {
    const revision = cache.revision;
    const item = cache.get(resource, targetKey({ ...request, name }));
    return { revision, items: item !== undefined && (matches?.(item.object) ?? true) ? [item] : [] };
  }
  const { revision, items } = cache.list<KubeObject>(resource, selection.from);
  // The cache has chosen by namespace already: with nothing else to check its list is the answer.
  const plain = matches === undefined || (isBare(request) && selection.from.namespace !== undefined);
  return { revision, items: plain ? items : items.filter((item) => matches(item.object)) };
}

function isBare({ labelSelector = "", fieldSelector = "" }: Selectors): boolean {
  return labelSelector === "" && fieldSelector === "";
}

interface Position {
  readonly revision: number | undefined;
  readonly afterKey?: string;
}

async function listPage(
  context: Context,
  request: ListRequest,
  { matches }: Selection,
  start: Position,
): Promise<ListResult> {
  const wanted = (request.limit ?? 0) > 0 ? (request.limit ?? 0) : Number.MAX_SAFE_INTEGER;
  const items: CachedItem[] = [];
  let { revision, afterKey } = start;
  for (;;) {
    const page = await context.cache.page<KubeObject>(request.kind.resource, {
      ...(request.namespace === undefined ? {} : { namespace: request.namespace }),
      ...(afterKey === undefined ? {} : { afterKey }),
      ...(revision === undefined ? {} : { revision }),
      limit: matches === undefined ? wanted - items.length : Math.max(pageItemsMin, wanted - items.length),
    });
    revision = page.revision;
    for (const [i, item] of page.items.entries()) {
      afterKey = item.key;
      if (matches !== undefined && !matches(item.object)) continue;
      items.push(item);
      if (items.length < wanted) continue;
      const left = page.items.length - i - 1;
      if (left === 0 && !page.more) break;
      const remaining = isBare(request) && page.remaining !== undefined ? page.remaining + left : undefined;
      return {
        revision,
        items,
        continue: writeToken({ revision, afterKey }),
        ...(remaining === undefined ? {} : { remaining }),
      };
    }
    if (!page.more || page.items.length === 0) return { revision, items };
  }
}

function writeToken({ revision, afterKey }: Position): string {
  return Buffer.from(JSON.stringify({ v: "naru/v1", rv: revision, after: afterKey })).toString("base64url");
}

function readToken(text: string): Position {
  try {
    const token = JSON.parse(Buffer.from(text, "base64url").toString()) as Readonly<Record<string, unknown>>;
    const { v, rv, after } = token;
    if (v === "naru/v1" && typeof rv === "number" && Number.isSafeInteger(rv) && rv > 0 && typeof after === "string") {
      return { revision: rv, afterKey: after };
    }
  } catch (cause) {
    throw new ApiError("BadRequest", "continue key is not valid: not a token of this server", { cause });
  }
  throw new ApiError("BadRequest", "continue key is not valid: not a token of this server");
}
