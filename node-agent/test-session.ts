// A session for tests of the agent: the test is the server.
import type { Event, NodeStatus, Pod, PodStatus } from "../api/kinds/generated/types.ts";
import type { KubeObject } from "../api/kinds/resource.ts";
import { keyOf } from "../api/kinds/resource.ts";
import type { NodeCache, NodeObjects, NodeResource, Reports } from "./session-types.ts";

export class TestSession {
  readonly statuses = new Map<string, PodStatus>();
  readonly gone: string[] = [];
  readonly events: Event[] = [];
  readonly nodeStatuses: NodeStatus[] = [];
  mirrors: readonly Pod[] = [];
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<(resource: NodeResource, key: string) => void>();
  #syncListeners: (() => void)[] = [];
  #synced: boolean;

  constructor({ synced = true }: { readonly synced?: boolean } = {}) {
    this.#synced = synced;
  }

  readonly reports: Reports = {
    podStatus: ({ name }, status) => void this.statuses.set(name, status),
    podGone: ({ name }) => void this.gone.push(name),
    nodeStatus: (status) => void this.nodeStatuses.push(status),
    event: (event) => void this.events.push(event),
    mirrorPods: (pods) => {
      this.mirrors = pods;
    },
  };

  get cache(): NodeCache {
    const session = this;
    return {
      get: <R extends NodeResource>(resource: R, key: string) =>
        session.#objects.get(`${resource} ${key}`) as NodeObjects[R] | undefined,
      list: <R extends NodeResource>(resource: R) =>
        [...session.#objects].flatMap(([key, object]) =>
          key.startsWith(`${resource} `) ? [object as NodeObjects[R]] : [],
        ),
      get synced() {
        return session.#synced;
      },
      onChange: (listener) => {
        session.#listeners.add(listener);
        return () => void session.#listeners.delete(listener);
      },
      onSynced: (listener) => {
        if (session.#synced) listener();
        else session.#syncListeners.push(listener);
      },
    };
  }

  put<R extends NodeResource>(resource: R, object: NodeObjects[R]): void {
    this.#objects.set(`${resource} ${keyOf(object)}`, object);
    for (const listener of this.#listeners) listener(resource, keyOf(object));
  }

  remove(resource: NodeResource, key: string): void {
    this.#objects.delete(`${resource} ${key}`);
    for (const listener of this.#listeners) listener(resource, key);
  }

  sync(): void {
    this.#synced = true;
    for (const listener of this.#syncListeners.splice(0)) listener();
  }

  /** Asks for a pod's end as the API does: it stays until it is reported gone. */
  delete(pod: Pod, graceSeconds: number): void {
    const metadata = {
      ...pod.metadata,
      deletionTimestamp: "2026-01-01T00:00:00Z",
      deletionGracePeriodSeconds: graceSeconds,
    };
    this.put("pods", { ...pod, metadata });
  }

  /** "Reason: message" of all events about pods. */
  eventLines(): readonly string[] {
    return this.events.map(({ reason, message }) => `${reason}: ${message}`);
  }
}
