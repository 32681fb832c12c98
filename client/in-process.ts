// The client of components that live in the server's own process: calls the verbs, copies nothing.
import type { User } from "../api/authentication/user.ts";
import type { Kind } from "../api/kinds/kind.ts";
import { findKind } from "../api/kinds/list.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";
import { ApiError } from "../api/kinds/status.ts";
import type { Verbs } from "../api/verbs/verbs.ts";
import type { Client, ObjectName, PatchOptions, WatchEvent, WatchOptions } from "./client.ts";

export interface InProcessOptions {
  readonly verbs: Verbs;
  /** In whose name it acts; components are trusted, so roles are not asked. */
  readonly user: User;
}

export function inProcessClient({ verbs, user }: InProcessOptions): Client {
  const write = { user, fieldManager: user.name.replace(/^system:/, ""), fieldValidation: "Ignore" } as const;
  // The verbs give back objects of the resource that was asked for; the cast says just that.
  return {
    get: async (resource, name, signal) => as(resource, (await verbs.get(targetOf(resource, name), signal)).object),
    list: async (resource, options = {}, signal) => {
      const { revision, items, continue: next } = await verbs.list({ kind: kindFor(resource), ...options }, signal);
      return {
        resourceVersion: String(revision),
        items: items.map((item) => as(resource, item.object)),
        ...(next === undefined ? {} : { continue: next }),
      };
    },
    watch: (resource, options, signal) => watch({ verbs, resource, options }, signal),
    create: async (resource, object) => {
      const namespace = object.metadata?.namespace;
      const request = { kind: kindFor(resource), body: object, ...(namespace === undefined ? {} : { namespace }) };
      return as(resource, (await verbs.create(request, write)).object);
    },
    update: async (resource, object) =>
      as(resource, (await verbs.update({ ...targetIn(resource, object), body: object, part: "object" }, write)).object),
    updateStatus: async (resource, object) =>
      as(
        resource,
        (await verbs.update({ ...targetIn(resource, object), body: statusOf(object), part: "status" }, write)).object,
      ),
    patch: async (resource, name, patch) => as(resource, await patched(verbs, targetOf(resource, name), patch, write)),
    delete: async (resource, name, options = {}) => {
      await verbs.delete(targetOf(resource, name), options, write);
    },
    bind: (binds) => verbs.bind(binds),
  };
}

/** What a change of the status reads: the rest need not be checked again. */
function statusOf({ apiVersion, kind, metadata, status }: KubeObject & { readonly status?: unknown }): object {
  const { name, namespace, uid, resourceVersion } = metadata ?? {};
  return { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status };
}

async function patched(
  verbs: Verbs,
  target: ReturnType<typeof targetOf>,
  { type, body, subresource, fieldManager, force }: PatchOptions,
  write: Parameters<Verbs["patch"]>[1],
): Promise<KubeObject> {
  const managed = fieldManager === undefined ? write : { ...write, fieldManager };
  if (subresource === "scale" && type !== "apply") {
    return (await verbs.updateScale({ ...target, body, patch: type }, managed)) as KubeObject;
  }
  if (subresource === "finalize") return (await verbs.finalizeNamespace({ ...target, body }, managed)).object;
  if (subresource !== undefined && subresource !== "status") {
    throw new ApiError("MethodNotAllowed", `the subresource ${subresource} cannot be patched`);
  }
  const part = subresource === "status" ? "status" : "object";
  const request = { ...target, type, body, part, ...(force === undefined ? {} : { force }) } as const;
  return (await verbs.patch(request, managed)).object;
}

interface Watch<T extends KubeObject> {
  readonly verbs: Verbs;
  readonly resource: Resource<T>;
  readonly options: WatchOptions;
}

/** Components go on from where it ended: it may last as long as a timer can count. */
const watchSecondsMax = 2_000_000;

async function* watch<T extends KubeObject>(
  { verbs, resource, options }: Watch<T>,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>> {
  const request = {
    kind: kindFor(resource),
    ...options,
    allowWatchBookmarks: true,
    timeoutSeconds: watchSecondsMax,
  };
  for await (const items of await verbs.watch(request, signal)) {
    for (const item of items) {
      if (item.type === "BOOKMARK") yield { type: "BOOKMARK", resourceVersion: String(item.revision) };
      else yield { type: item.type, object: as(resource, item.item.object) };
    }
  }
}

function as<T extends KubeObject>(_resource: Resource<T>, object: KubeObject): T {
  return object as T;
}

function targetOf(resource: Resource, { namespace, name }: ObjectName) {
  return { kind: kindFor(resource), name, ...(namespace === undefined ? {} : { namespace }) };
}

function targetIn(resource: Resource, object: KubeObject) {
  const { name = "", namespace } = object.metadata ?? {};
  return targetOf(resource, { name, ...(namespace === undefined ? {} : { namespace }) });
}

function kindFor(resource: Pick<Resource, "group" | "version" | "resource">): Kind {
  const kind = findKind(resource.group, resource.version, resource.resource);
  if (kind === undefined) throw new ApiError("NotFound", `the server does not store ${resource.resource}`);
  return kind;
}
