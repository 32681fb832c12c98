// WATCH: what is there, then what happens, with bookmarks.
// Source: Kubernetes documentation, "API concepts", "Efficient detection of changes" and "Streaming lists".
import { below } from "../../lib/random.ts";
import type { CacheBatch, CachedItem } from "../cache/watch-cache.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import type { Collection, Context } from "./context.ts";
import { parseRevision, reachRevision } from "./freshness.ts";
import { type Selection, type Selectors, selectionOf } from "./selection.ts";

export interface WatchRequest extends Collection, Selectors {
  /** Events after this one. Absent or "0": all that exists comes first, as ADDED. */
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: string;
  readonly allowWatchBookmarks?: boolean;
  readonly sendInitialEvents?: boolean;
  readonly timeoutSeconds?: number;
}

export type WatchItem =
  | {
      readonly type: "ADDED" | "MODIFIED" | "DELETED";
      readonly item: CachedItem;
      /** The event's line as JSON, shared by all watchers; not there for what existed before. */
      readonly frame?: () => Buffer;
    }
  | { readonly type: "BOOKMARK"; readonly revision: number; readonly initialEventsEnd?: true };

const bookmarkMs = 60_000;
const timeoutMsMin = 1_800_000;
/** A timer counts 31 bits of milliseconds. */
const timeoutSecondsMax = 2_000_000;

/** Refuses at once what cannot be watched; the stream throws ApiError Expired (410) when `resourceVersion` is too old. */
export async function watchObjects(
  context: Context,
  request: WatchRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<readonly WatchItem[]>> {
  checkInitialEvents(request);
  const selection = selectionOf(request.kind, request.namespace, request);
  const after = parseRevision(request.resourceVersion);
  const startsEmpty = after === undefined || after === 0;
  const wantsState = request.sendInitialEvents ?? startsEmpty;
  if (wantsState || startsEmpty) await reachRevision(context, request.resourceVersion, signal);
  return run(context, request, { selection, wantsState, after: startsEmpty ? undefined : after, signal });
}

interface Start {
  readonly selection: Selection;
  readonly wantsState: boolean;
  readonly after: number | undefined;
  readonly signal: AbortSignal;
}

async function* run(context: Context, request: WatchRequest, start: Start): AsyncGenerator<readonly WatchItem[]> {
  const { cache, clock } = context;
  const end = new AbortController();
  const seconds = Math.min(request.timeoutSeconds ?? 0, timeoutSecondsMax);
  const timeoutMs = seconds > 0 ? seconds * 1000 : defaultTimeoutMs(context);
  const timer = clock.after(timeoutMs, () => end.abort());
  const bookmarks = request.allowWatchBookmarks === true;
  let revision = start.after ?? cache.revision;
  let toldMs = clock.monotonicMs();
  try {
    if (start.wantsState) {
      const state = stateOf(context, request, start.selection);
      revision = state.revision;
      yield state.items;
      if (request.sendInitialEvents === true) yield [{ type: "BOOKMARK", revision, initialEventsEnd: true }];
    }
    const signal = AbortSignal.any([start.signal, end.signal]);
    for await (const batch of cache.watch(request.kind.resource, watchOptions(start, revision), signal)) {
      revision = Math.max(revision, batch.revision);
      const items: WatchItem[] = batch.events.map(itemOf);
      if (bookmarks && clock.monotonicMs() - toldMs >= bookmarkMs) {
        items.push({ type: "BOOKMARK", revision });
        toldMs = clock.monotonicMs();
      }
      if (items.length > 0) yield items;
    }
    if (bookmarks && !start.signal.aborted) yield [{ type: "BOOKMARK", revision }];
  } finally {
    timer.cancel();
  }
}

function watchOptions({ selection }: Start, afterRevision: number) {
  return {
    ...selection.from,
    ...(selection.matches === undefined ? {} : { matches: selection.matches }),
    afterRevision,
  };
}

function stateOf(
  { cache }: Context,
  request: WatchRequest,
  { from, matches }: Selection,
): { readonly revision: number; readonly items: readonly WatchItem[] } {
  const { revision, items } = cache.list<KubeObject>(request.kind.resource, from);
  const chosen = matches === undefined ? items : items.filter((item) => matches(item.object));
  return { revision, items: chosen.map((item) => ({ type: "ADDED", item })) };
}

function itemOf(event: CacheBatch["events"][number]): WatchItem {
  return { type: event.type, item: event.item, frame: () => event.frame };
}

/** Spread, so that clients do not all come back at once. */
function defaultTimeoutMs({ random }: Context): number {
  return timeoutMsMin + below(random, timeoutMsMin);
}

function checkInitialEvents(request: WatchRequest): void {
  const { sendInitialEvents, resourceVersionMatch, allowWatchBookmarks } = request;
  if (sendInitialEvents === undefined) {
    if (resourceVersionMatch !== undefined) {
      throw new ApiError("Invalid", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    return;
  }
  if (resourceVersionMatch !== "NotOlderThan") {
    throw new ApiError("Invalid", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (sendInitialEvents && allowWatchBookmarks !== true) {
    throw new ApiError("Invalid", "sendInitialEvents requires setting allowWatchBookmarks to true");
  }
}
