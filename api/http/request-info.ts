// Reads a request's line: which resource or path, and what is wanted of it. Pure.
// Source: Kubernetes documentation, "API concepts", "Resource URIs".
import type { Attributes } from "../authorization/attributes.ts";
import { selfsubjectaccessreviews, selfsubjectreviews, selfsubjectrulesreviews } from "../kinds/generated/resources.ts";
import type { Kind } from "../kinds/kind.ts";
import { kinds } from "../kinds/list.ts";
import type { Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { usageResources } from "./usage-resources.ts";

export interface ResourceRequest {
  readonly type: "resource";
  readonly resource: Resource;
  /** undefined for resources that are answered but not stored. */
  readonly kind: Kind | undefined;
  readonly namespace: string | undefined;
  /** undefined for collections. */
  readonly name: string | undefined;
  readonly subresource: string;
  readonly attributes: Attributes & { readonly type: "resource" };
}

export interface PathRequest {
  readonly type: "path";
  readonly path: string;
  readonly segments: readonly string[];
  readonly attributes: Attributes & { readonly type: "path" };
}

export type RequestInfo = ResourceRequest | PathRequest;

const served = new Map<string, { readonly resource: Resource; readonly kind: Kind | undefined }>([
  ...kinds.map((kind) => [pathOf(kind.resource), { resource: kind.resource, kind }] as const),
  ...[selfsubjectaccessreviews, selfsubjectrulesreviews, selfsubjectreviews].map(
    (resource) => [pathOf(resource), { resource: resource as Resource, kind: undefined }] as const,
  ),
  ...usageResources.map((resource) => [pathOf(resource), { resource, kind: undefined }] as const),
]);

/** Custom kinds: kubectl lists them before it says that a kind is unknown. There are none, and no discovery shows them. */
export const customKindsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** All that discovery shows. */
export const servedResources: readonly Resource[] = [...served.values()].map(({ resource }) => resource);

/** Refuses with NotFound when a path below /api or /apis names no resource, or a subresource that it does not have. */
export function readRequest(method: string, path: string, query: URLSearchParams): RequestInfo {
  const segments = splitPath(path);
  const [root, ...rest] = segments;
  if (method === "GET" && path === customKindsPath) return pathRequest(method, path, segments);
  if (root === "api" && rest.length >= 2) return readResource(method, rest, { group: "", query });
  if (root === "apis" && rest.length >= 3) return readResource(method, rest.slice(1), { group: rest[0] ?? "", query });
  return pathRequest(method, path, segments);
}

function pathRequest(method: string, path: string, segments: readonly string[]): PathRequest {
  return { type: "path", path, segments, attributes: { type: "path", verb: method.toLowerCase(), path } };
}

interface Where {
  readonly group: string;
  readonly query: URLSearchParams;
}

function readResource(method: string, [version = "", ...rest]: readonly string[], where: Where): ResourceRequest {
  const { group } = where;
  const inNamespace = rest[0] === "namespaces" && rest.length >= 3 && !["status", "finalize"].includes(rest[2] ?? "");
  const [plural = "", name, ...sub] = inNamespace ? rest.slice(2) : rest;
  const found = served.get(`${group}/${version}/${plural}`);
  if (found === undefined) throw noSuchResource(`: this cluster serves no ${plural} in ${apiVersion(group, version)}`);
  const { resource, kind } = found;
  const namespace = inNamespace ? rest[1] : undefined;
  if (namespace !== undefined && !resource.namespaced) throw noSuchResource();
  if (name !== undefined && resource.namespaced && namespace === undefined) throw noSuchResource();
  const subresource = sub.join("/");
  // Strangers choose paths, and what passes here becomes a label of a metric.
  if (subresource !== "" && !resource.subresources.some(({ name: known }) => known === subresource))
    throw noSuchResource();
  const verb = verbOf(method, name !== undefined, where.query);
  return {
    type: "resource",
    resource,
    kind,
    namespace,
    name,
    subresource,
    attributes: {
      type: "resource",
      verb,
      group,
      resource: plural,
      subresource,
      namespace: namespace ?? (plural === "namespaces" ? (name ?? "") : ""),
      name: name ?? "",
    },
  };
}

function verbOf(method: string, named: boolean, query: URLSearchParams): string {
  switch (method) {
    case "GET":
    case "HEAD":
      if (isTrue(query.get("watch"))) return "watch";
      return named ? "get" : "list";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return named ? "delete" : "deletecollection";
    default:
      throw new ApiError("MethodNotAllowed", `the server does not allow the method ${method}`);
  }
}

/** "1", "true" and a bare parameter, as Kubernetes reads flags. */
export function isTrue(text: string | null): boolean {
  return text !== null && text !== "false" && text !== "0" && text !== "False" && text !== "f";
}

function splitPath(path: string): readonly string[] {
  try {
    return path
      .split("/")
      .filter((segment) => segment !== "")
      .map(decodeURIComponent);
  } catch (cause) {
    throw new ApiError("BadRequest", `the path ${JSON.stringify(path)} is not well encoded`, { cause });
  }
}

function pathOf({ group, version, resource }: Resource): string {
  return `${group}/${version}/${resource}`;
}

function apiVersion(group: string, version: string): string {
  return group === "" ? version : `${group}/${version}`;
}

export function noSuchResource(why = ""): ApiError {
  return new ApiError("NotFound", `the server could not find the requested resource${why}`, { details: {} });
}
