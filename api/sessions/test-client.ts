// A Client over a map, with the API's rules that sessions rely on: versions, uids, status apart from the rest, watches in order.
// For tests of this room only; whole clusters in tests use the real API.
import { isDeepStrictEqual } from "node:util";
import type { Client, ObjectName, WatchEvent } from "../../client/client.ts";
import { apiVersionOf, type KubeObject, keyOf, type Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";

export interface TestClient extends Client {
  /** Every write that changed something, such as "updateStatus pods default/a". */
  readonly writes: string[];
  /** Called before each write; may throw. */
  beforeWrite: (write: string) => void | Promise<void>;
}

type WithParts = KubeObject & { readonly spec?: unknown; readonly status?: unknown };
type Change = { readonly resource: string; readonly event: WatchEvent<KubeObject>; readonly revision: number };

export function testClient(): TestClient {
  const objects = new Map<string, WithParts>();
  const history: Change[] = [];
  const wakes = new Set<() => void>();
  let revision = 0;
  let uids = 0;

  const keyFor = (resource: Resource, { namespace, name }: ObjectName) =>
    `${resource.resource}/${resource.namespaced ? `${namespace}/` : ""}${name}`;
  const notFound = (resource: Resource, name: ObjectName) =>
    new ApiError("NotFound", `${resource.resource} "${name.name}" not found`);
  const find = (resource: Resource, name: ObjectName): WithParts => {
    const object = objects.get(keyFor(resource, name));
    if (object === undefined) throw notFound(resource, name);
    return object;
  };
  const commit = (verb: string, resource: Resource, object: WithParts, type: "ADDED" | "MODIFIED" | "DELETED") => {
    const name = nameOf(object);
    const next = { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } };
    if (type === "DELETED") objects.delete(keyFor(resource, name));
    else objects.set(keyFor(resource, name), next);
    history.push({ resource: resource.resource, event: { type, object: next }, revision });
    client.writes.push(`${verb} ${resource.resource} ${keyOf(object)}`);
    for (const wake of wakes) wake();
    return next;
  };
  const write = async <T extends KubeObject>(
    verb: string,
    resource: Resource<T>,
    object: T,
    next: (live: WithParts) => WithParts,
  ) => {
    await client.beforeWrite(`${verb} ${resource.resource} ${keyOf(object)}`);
    const live = find(resource, nameOf(object));
    const { resourceVersion = "", uid = "" } = object.metadata ?? {};
    if (uid !== "" && uid !== live.metadata?.uid) throw new ApiError("Conflict", "another uid");
    if (resourceVersion !== "" && resourceVersion !== live.metadata?.resourceVersion) {
      throw new ApiError("Conflict", "the object has been modified");
    }
    const changed = next(live);
    if (isDeepStrictEqual(withoutVersion(changed), withoutVersion(live))) return live as T;
    return commit(verb, resource, changed, "MODIFIED") as T;
  };

  const client: TestClient = {
    writes: [],
    beforeWrite: () => {},
    get: async (resource, name) => find(resource, name) as never,
    list: async <T extends KubeObject>(resource: Resource<T>) => ({
      resourceVersion: String(revision),
      items: [...objects].filter(([key]) => key.startsWith(`${resource.resource}/`)).map(([, object]) => object as T),
    }),
    watch: async function* <T extends KubeObject>(
      resource: Resource<T>,
      options: { resourceVersion: string },
      signal: AbortSignal,
    ): AsyncGenerator<WatchEvent<T>> {
      let next = history.findIndex((change) => change.revision > Number(options.resourceVersion));
      if (next === -1) next = history.length;
      while (!signal.aborted) {
        const change = history[next];
        if (change !== undefined) {
          next++;
          if (change.resource === resource.resource) yield change.event as WatchEvent<T>;
          continue;
        }
        await new Promise<void>((resolve) => {
          wakes.add(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
    create: async (resource, object) => {
      const { namespace } = object.metadata ?? {};
      await client.beforeWrite(`create ${resource.resource} ${keyOf(object)}`);
      if (namespace === "kube-node-lease" && !objects.has(`namespaces/${namespace}`)) {
        throw new ApiError("NotFound", `namespaces "${namespace}" not found`);
      }
      if (objects.has(keyFor(resource, nameOf(object)))) throw new ApiError("AlreadyExists", "already exists");
      const metadata = { ...object.metadata, uid: object.metadata?.uid ?? `uid-${++uids}` };
      const whole = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object, metadata };
      return commit("create", resource, whole, "ADDED") as never;
    },
    update: (resource, object) =>
      write("update", resource, object, (live) => ({
        ...object,
        ...("status" in live ? { status: live.status } : {}),
      })),
    updateStatus: (resource, object) =>
      write("updateStatus", resource, object, (live) => ({ ...live, status: (object as WithParts).status })),
    patch: (resource, name, { body }) =>
      write("patch", resource, { metadata: name } as never, (live) => ({ ...live, ...(body as object) })),
    delete: async (resource, name, options) => {
      await client.beforeWrite(`delete ${resource.resource} ${keyOf({ metadata: name })}`);
      const live = find(resource, name);
      const uid = options?.preconditions?.uid;
      if (uid !== undefined && uid !== live.metadata?.uid) throw new ApiError("Conflict", "another uid");
      commit("delete", resource, live, "DELETED");
    },
    bind: async () => [],
  };
  return client;
}

function nameOf(object: KubeObject): ObjectName {
  const { namespace, name = "" } = object.metadata ?? {};
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

function withoutVersion(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata ?? {};
  return { ...object, metadata };
}
