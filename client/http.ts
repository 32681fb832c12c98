// The client over HTTPS: what the command uses, and components that run as processes of their own.
import type { Status } from "../api/kinds/generated/types.ts";
import { apiVersionOf, type KubeObject, type Resource } from "../api/kinds/resource.ts";
import { ApiError, errorFromStatus } from "../api/kinds/status.ts";
import type { Client, ListOptions, ObjectName, PatchType, WatchEvent, WatchOptions } from "./client.ts";
import type { Connection } from "./kubeconfig.ts";
import { httpsTransport, type Transport } from "./transport.ts";

/** A Client with its transport, for what is no resource: logs, images, tokens. Dispose it to end its connections. */
export interface HttpClient extends Client, Disposable {
  readonly transport: Transport;
}

export interface HttpClientOptions {
  readonly connection: Connection;
  readonly fieldManager?: string;
  readonly fieldValidation?: "Ignore" | "Warn" | "Strict";
  readonly dryRun?: boolean;
  readonly warn?: (message: string) => void;
}

const patchTypes: Readonly<Record<PatchType, string>> = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};

export function httpClient(options: HttpClientOptions): HttpClient {
  const transport = httpsTransport(options.connection);
  const write = {
    fieldManager: options.fieldManager ?? "naru",
    fieldValidation: options.fieldValidation,
    dryRun: options.dryRun === true ? "All" : undefined,
  };
  const call = async <T>(request: Call, signal: AbortSignal | undefined): Promise<T> => {
    const { method, path, query, body, type } = request;
    const answer = await transport.json({
      method,
      path: path + queryText(query),
      ...(body === undefined ? {} : { body }),
      ...(type === undefined ? {} : { type }),
      ...(options.warn === undefined ? {} : { warn: options.warn }),
      ...(signal === undefined ? {} : { signal }),
    });
    // The server answers with what was asked for: this is where its JSON gets its type.
    return answer as T;
  };
  return {
    transport,
    get: (resource, name, signal) => call({ method: "GET", path: pathOf(resource, name) }, signal),
    list: async (resource, selection = {}, signal) => {
      const path = pathOf(resource, selection);
      const list = await call<RawList>({ method: "GET", path, query: queryOf(selection) }, signal);
      const { resourceVersion = "", continue: next = "" } = list.metadata ?? {};
      return { resourceVersion, items: (list.items ?? []) as never, ...(next === "" ? {} : { continue: next }) };
    },
    watch: (resource, selection, signal) => watch({ transport, resource, selection }, signal),
    create: (resource, object, signal) => {
      const { namespace } = object.metadata ?? {};
      const path = pathOf(resource, namespace === undefined ? {} : { namespace });
      return call({ method: "POST", path, query: write, body: typed(resource, object) }, signal);
    },
    update: (resource, object, signal) =>
      call(
        { method: "PUT", path: pathOf(resource, nameOf(object)), query: write, body: typed(resource, object) },
        signal,
      ),
    updateStatus: (resource, object, signal) => {
      const path = `${pathOf(resource, nameOf(object))}/status`;
      return call({ method: "PUT", path, query: write, body: typed(resource, object) }, signal);
    },
    patch: (resource, name, { type, body, subresource, fieldManager, force }, signal) => {
      const path = pathOf(resource, name) + (subresource === undefined ? "" : `/${subresource}`);
      const query = {
        ...write,
        fieldManager: fieldManager ?? write.fieldManager,
        force: force === true ? "true" : undefined,
      };
      return call({ method: "PATCH", path, query, body, type: patchTypes[type] }, signal);
    },
    delete: async (resource, name, body = {}, signal) => {
      await call({ method: "DELETE", path: pathOf(resource, name), query: { dryRun: write.dryRun }, body }, signal);
    },
    bind: async (binds, signal) => {
      const answer = await call<{ readonly outcomes: readonly (Status | null)[] }>(
        { method: "POST", path: "/naru/v1/binds", body: { binds } },
        signal,
      );
      return answer.outcomes.map((status) => (status === null ? undefined : errorFromStatus(status)));
    },
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  };
}

/** "/apis/apps/v1/namespaces/default/deployments/web"; without a namespace: of all. */
export function pathOf(resource: Resource, { namespace, name }: Partial<ObjectName>): string {
  const root = `${resource.group === "" ? "/api" : "/apis"}/${apiVersionOf(resource)}`;
  const inside = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${inside}/${resource.resource}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  readonly type?: string;
}

type Query = Readonly<Record<string, string | undefined>>;

interface RawList {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly unknown[] | null;
}

function queryText(query: Query | undefined): string {
  const entries = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return entries.length === 0 ? "" : `?${new URLSearchParams(entries)}`;
}

function queryOf({ labelSelector, fieldSelector, limit, continue: next }: ListOptions): Query {
  return { labelSelector, fieldSelector, limit: limit === undefined ? undefined : String(limit), continue: next };
}

function nameOf(object: KubeObject): ObjectName {
  const { name = "", namespace } = object.metadata ?? {};
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

function typed<T extends KubeObject>(resource: Resource<T>, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

interface Watch<T extends KubeObject> {
  readonly transport: Transport;
  readonly resource: Resource<T>;
  readonly selection: WatchOptions;
}

interface RawEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubeObject;
}

/** Ends when the server ends it, which it does after a while: the caller goes on from the last version it saw. */
async function* watch<T extends KubeObject>(
  { transport, resource, selection }: Watch<T>,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>> {
  const { resourceVersion } = selection;
  const query = { ...queryOf(selection), resourceVersion, watch: "true", allowWatchBookmarks: "true" };
  if (signal.aborted) return;
  const path = pathOf(resource, selection) + queryText(query);
  const response = await transport.stream({ method: "GET", path, signal }).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (response === undefined) return;
  try {
    for await (const line of lines(response)) {
      const event = JSON.parse(line) as RawEvent;
      if (event.type === "ERROR") throw errorFromStatus(event.object as Status);
      if (event.type === "BOOKMARK") {
        yield { type: "BOOKMARK", resourceVersion: event.object.metadata?.resourceVersion ?? "" };
      } else yield { type: event.type, object: event.object as T };
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ApiError) throw error;
    throw new ApiError("ServiceUnavailable", "the connection to the server broke", { cause: error });
  } finally {
    response.destroy();
  }
}

const lineCharsMax = 8 * 1024 * 1024;

export async function* lines(response: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > lineCharsMax) throw new ApiError("InternalError", "the server sent a line without end");
    for (const line of parts) if (line !== "") yield line;
  }
  if (rest !== "") yield rest;
}
