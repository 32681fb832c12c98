// Says what the server serves: groups, versions and resources, in the old form and in the aggregated one. Pure.
// Source: Kubernetes documentation, "API discovery".
import type { Resource } from "../kinds/resource.ts";
import { apiVersionOf } from "../kinds/resource.ts";
import type { JsonObject } from "../kinds/schema/schema.ts";

/** Subresources that the server answers; the facts name a few more. */
const servedSubresources: readonly string[] = [
  "attach",
  "binding",
  "ephemeralcontainers",
  "eviction",
  "exec",
  "finalize",
  "log",
  "portforward",
  "resize",
  "scale",
  "status",
  "token",
];

/** Kinds of subresources that belong to other groups than their resource. */
const foreignKinds: Readonly<Record<string, { readonly group: string; readonly version: string }>> = {
  Scale: { group: "autoscaling", version: "v1" },
  Eviction: { group: "policy", version: "v1" },
  TokenRequest: { group: "authentication.k8s.io", version: "v1" },
};

/** /api */
export function coreVersions(serverAddress: string): JsonObject {
  return {
    kind: "APIVersions",
    versions: ["v1"],
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
  };
}

/** /apis */
export function groupList(resources: readonly Resource[]): JsonObject {
  return { kind: "APIGroupList", apiVersion: "v1", groups: groupsOf(resources).map((name) => group(name, resources)) };
}

/** /apis/<group>; undefined when there is none. */
export function groupDocument(name: string, resources: readonly Resource[]): JsonObject | undefined {
  if (!groupsOf(resources).includes(name)) return undefined;
  return { kind: "APIGroup", apiVersion: "v1", ...group(name, resources) };
}

/** /api/v1 and /apis/<group>/<version>; undefined when there is none. */
export function resourceList(groupVersion: string, resources: readonly Resource[]): JsonObject | undefined {
  const those = resources.filter((resource) => apiVersionOf(resource) === groupVersion);
  if (those.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion,
    resources: those.flatMap((resource) => [mainEntry(resource), ...subresourcesOf(resource).map(subEntry(resource))]),
  };
}

/** APIGroupDiscoveryList of the core group (/api) or of all others (/apis). */
export function aggregated(resources: readonly Resource[], root: "api" | "apis", version: string): JsonObject {
  const groups = root === "api" ? [""] : groupsOf(resources);
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((name) => ({
      metadata: { ...(name === "" ? {} : { name }), creationTimestamp: null },
      versions: versionsOf(name, resources).map((v) => ({
        version: v,
        freshness: "Current",
        resources: resources.filter((r) => r.group === name && r.version === v).map(aggregatedEntry),
      })),
    })),
  };
}

function group(name: string, resources: readonly Resource[]): JsonObject {
  const versions = versionsOf(name, resources).map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions, preferredVersion: versions[0] };
}

function groupsOf(resources: readonly Resource[]): readonly string[] {
  return [...new Set(resources.map((resource) => resource.group))].filter((name) => name !== "");
}

function versionsOf(group: string, resources: readonly Resource[]): readonly string[] {
  return [...new Set(resources.filter((resource) => resource.group === group).map(({ version }) => version))];
}

type Subresource = Resource["subresources"][number];

function subresourcesOf(resource: Resource): readonly Subresource[] {
  return resource.subresources.filter(({ name }) => servedSubresources.includes(name));
}

function mainEntry(resource: Resource): JsonObject {
  return {
    name: resource.resource,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: resource.verbs,
    ...lists(resource),
  };
}

function subEntry(resource: Resource): (subresource: Subresource) => JsonObject {
  return ({ name, kind, verbs }) => ({
    name: `${resource.resource}/${name}`,
    singularName: "",
    namespaced: resource.namespaced,
    ...foreignKinds[kind],
    kind,
    verbs,
  });
}

function aggregatedEntry(resource: Resource): JsonObject {
  const { group: own, version } = resource;
  const subresources = subresourcesOf(resource).map(({ name, kind, verbs }) => ({
    subresource: name,
    responseKind: { group: own, version, ...foreignKinds[kind], kind },
    verbs,
  }));
  return {
    resource: resource.resource,
    responseKind: { group: own, version, kind: resource.kind },
    scope: resource.namespaced ? "Namespaced" : "Cluster",
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...lists(resource),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

function lists({ shortNames, categories }: Resource): JsonObject {
  return {
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
}
