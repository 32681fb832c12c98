// The verbs of the API as one object over one context: what HTTP, the in-process client and the nodes' sessions call.
import type { Bind } from "../../client/client.ts";
import type { CachedItem } from "../cache/watch-cache.ts";
import type { DeleteOptions, Scale } from "../kinds/generated/types.ts";
import { bindPods } from "./bind.ts";
import type { Written } from "./commit.ts";
import type { Context, Target, WriteOptions } from "./context.ts";
import { type CreateRequest, createObject } from "./create.ts";
import { type Deleted, deleteCollection, deleteObject } from "./delete.ts";
import { finalizeNamespace } from "./finalize.ts";
import { type GetRequest, getObject } from "./get.ts";
import { type ListRequest, type ListResult, listObjects } from "./list.ts";
import { type Patched, type PatchRequest, patchObject } from "./patch.ts";
import { getScale, type ScaleRequest, updateScale } from "./scale.ts";
import { type UpdateRequest, updateObject } from "./update.ts";
import { type WatchItem, type WatchRequest, watchObjects } from "./watch.ts";

export interface Verbs {
  get(request: GetRequest, signal?: AbortSignal): Promise<CachedItem>;
  list(request: ListRequest, signal?: AbortSignal): Promise<ListResult>;
  watch(request: WatchRequest, signal: AbortSignal): Promise<AsyncIterable<readonly WatchItem[]>>;
  create(request: CreateRequest, write: WriteOptions): Promise<Written>;
  update(request: UpdateRequest, write: WriteOptions): Promise<Written>;
  patch(request: PatchRequest, write: WriteOptions): Promise<Patched>;
  delete(target: Target, options: DeleteOptions, write: WriteOptions): Promise<Deleted>;
  deleteCollection(request: ListRequest, options: DeleteOptions, write: WriteOptions): Promise<ListResult>;
  getScale(request: GetRequest, signal?: AbortSignal): Promise<Scale>;
  updateScale(request: ScaleRequest, write: WriteOptions): Promise<Scale>;
  finalizeNamespace(request: Target & { readonly body: unknown }, write: WriteOptions): Promise<Written>;
  bind(binds: readonly Bind[], options?: { readonly dryRun?: boolean }): Promise<readonly (Error | undefined)[]>;
}

export function verbsOf(context: Context): Verbs {
  return {
    get: (request, signal) => getObject(context, request, signal),
    list: (request, signal) => listObjects(context, request, signal),
    watch: (request, signal) => watchObjects(context, request, signal),
    create: (request, write) => createObject(context, request, write),
    update: (request, write) => updateObject(context, request, write),
    patch: (request, write) => patchObject(context, request, write),
    delete: (target, options, write) => deleteObject(context, target, options, write),
    deleteCollection: (request, options, write) => deleteCollection(context, request, options, write),
    getScale: (request, signal) => getScale(context, request, signal),
    updateScale: (request, write) => updateScale(context, request, write),
    finalizeNamespace: (request, write) => finalizeNamespace(context, request, write),
    bind: (binds, options) => bindPods(context, binds, options),
  };
}
