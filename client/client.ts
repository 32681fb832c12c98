// What controllers, scheduler, agents' sessions and the command see of the API. Implementations: in-process and over HTTPS.
import type { DeleteOptions } from "../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";

/** Names one object; `namespace` is absent for resources without one. */
export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

export interface ListOptions {
  /** All namespaces when absent. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
}

export interface ObjectList<T> {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly items: readonly T[];
}

export interface WatchOptions extends Omit<ListOptions, "limit" | "continue"> {
  /** Events after this version. */
  readonly resourceVersion: string;
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export type PatchType = "merge" | "json" | "strategic" | "apply";

export interface PatchOptions {
  readonly type: PatchType;
  readonly body: unknown;
  /** "status", "scale", … */
  readonly subresource?: string;
  readonly fieldManager?: string;
  readonly force?: boolean;
}

/**
 * Every call rejects with an ApiError that tells what was refused and why. Objects that come back are shared with caches: never change
 * them.
 */
export interface Client {
  get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, signal?: AbortSignal): Promise<T>;
  list<T extends KubeObject>(
    resource: Resource<T>,
    options?: ListOptions,
    signal?: AbortSignal,
  ): Promise<ObjectList<T>>;
  /** Ends when aborted; throws ApiError "Expired" (410) when `resourceVersion` is too old: list again. */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(resource: Resource<T>, object: T, signal?: AbortSignal): Promise<T>;
  /** With metadata.resourceVersion set, fails with Conflict when the object has changed since. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, signal?: AbortSignal): Promise<T>;
  updateStatus<T extends KubeObject>(resource: Resource<T>, object: T, signal?: AbortSignal): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: PatchOptions,
    signal?: AbortSignal,
  ): Promise<T>;
  delete<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    options?: DeleteOptions,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Binds pods to nodes; one outcome per bind, in order: undefined, or why it was refused. All are durable when this resolves. */
  bind(binds: readonly Bind[], signal?: AbortSignal): Promise<readonly (Error | undefined)[]>;
}

export interface Bind {
  readonly namespace: string;
  readonly name: string;
  /** Refused with Conflict when the pod of that name is another one by now. */
  readonly uid: string;
  readonly node: string;
}
