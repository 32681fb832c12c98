// GET of one object.
import type { CachedItem } from "../cache/watch-cache.ts";
import { type Context, type Target, targetKey } from "./context.ts";
import { reachRevision } from "./freshness.ts";
import { notFound } from "./refusals.ts";

export interface GetRequest extends Target {
  /** Absent: the newest. "0": whatever is at hand. Else: not older than that. */
  readonly resourceVersion?: string;
}

/** Refuses with NotFound. */
export async function getObject(context: Context, request: GetRequest, signal?: AbortSignal): Promise<CachedItem> {
  await reachRevision(context, request.resourceVersion, signal);
  const item = context.cache.get(request.kind.resource, targetKey(request));
  if (item === undefined) throw notFound(request.kind.resource, request.name);
  return item;
}
