// Server-side apply of one object.
import type { KubeObject, Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import type { Connection } from "./connection.ts";
import type { Manifest } from "./manifests.ts";
import { pathOf, resourceOfKind, titleOf } from "./resources.ts";

export interface ApplyOptions {
  /** For objects that name none. */
  readonly namespace: string;
  readonly query: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface Applied {
  readonly title: string;
  readonly verb: "created" | "configured" | "unchanged";
  readonly resource: Resource;
  readonly name: string;
  readonly namespace: string;
}

export async function applyManifest(
  connection: Connection,
  { object, place }: Manifest,
  options: ApplyOptions,
): Promise<Applied> {
  const { apiVersion = "", kind = "", metadata = {} } = object;
  const resource = resourceOfKind(apiVersion, kind);
  if (resource === undefined) throw new Error(`${place}: this cluster has no kind ${kind} in ${apiVersion}`);
  const { name, namespace = options.namespace } = metadata;
  if (name === undefined) throw new Error(`${place}: metadata.name is missing`);
  const path = pathOf(resource, resource.namespaced ? namespace : undefined, name);
  const before = await versionOf(connection, path, options.signal);
  const after = await connection.send<KubeObject>("PATCH", `${path}?${new URLSearchParams(options.query)}`, {
    body: { ...object, metadata: { ...metadata, ...(resource.namespaced ? { namespace } : {}) } },
    type: "application/apply-patch+yaml",
    signal: options.signal,
  });
  const verb =
    before === undefined ? "created" : before === after.metadata?.resourceVersion ? "unchanged" : "configured";
  return { title: titleOf(resource, name), verb, resource, name, namespace };
}

async function versionOf(connection: Connection, path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await connection.send<KubeObject>("GET", path, { signal })).metadata?.resourceVersion;
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}
