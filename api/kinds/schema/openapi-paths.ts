// The paths and operations of the served resources, once, for both versions of OpenAPI to print.
import type { Resource } from "../resource.ts";

export type Method = "get" | "put" | "post" | "delete" | "patch";

export interface Operation {
  readonly method: Method;
  readonly id: string;
  /** get, list, post, put, patch, delete, deletecollection, connect: Kubernetes' x-kubernetes-action. */
  readonly action: string;
  readonly kind: GroupVersionKind;
  /** Query parameters: name and JSON type. */
  readonly query: readonly (readonly [string, string])[];
  /** Type of the body; "patch" for any patch; absent without a body. */
  readonly body?: string;
  /** Type of the answer. */
  readonly answer: string;
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface Path {
  readonly path: string;
  /** Names in braces in the path. */
  readonly parameters: readonly string[];
  readonly operations: readonly Operation[];
}

export const patchMediaTypes = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
] as const;

export const statusType = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
export const deleteOptionsType = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
export const patchType = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const writeQuery = [
  ["dryRun", "string"],
  ["fieldManager", "string"],
  ["fieldValidation", "string"],
] as const;
const listQuery = [
  ["allowWatchBookmarks", "boolean"],
  ["continue", "string"],
  ["fieldSelector", "string"],
  ["labelSelector", "string"],
  ["limit", "integer"],
  ["resourceVersion", "string"],
  ["resourceVersionMatch", "string"],
  ["sendInitialEvents", "boolean"],
  ["timeoutSeconds", "integer"],
  ["watch", "boolean"],
] as const;
const deleteQuery = [
  ["dryRun", "string"],
  ["gracePeriodSeconds", "integer"],
  ["orphanDependents", "boolean"],
  ["propagationPolicy", "string"],
] as const;

/** "api/v1" or "apis/apps/v1". */
export function groupPath({ group, version }: Pick<Resource, "group" | "version">): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

export function pathsOf(resource: Resource): readonly Path[] {
  const base = `/${groupPath(resource)}`;
  const collection = resource.namespaced
    ? `${base}/namespaces/{namespace}/${resource.resource}`
    : `${base}/${resource.resource}`;
  const parameters = resource.namespaced ? ["namespace"] : [];
  const everywhere: readonly Path[] =
    resource.namespaced && resource.verbs.includes("list")
      ? [
          {
            path: `${base}/${resource.resource}`,
            parameters: [],
            operations: [operation(resource, "list", "ForAllNamespaces")],
          },
        ]
      : [];
  const named = [...parameters, "name"];
  return [
    ...everywhere,
    { path: collection, parameters, operations: operations(resource, ["list", "create", "deletecollection"]) },
    {
      path: `${collection}/{name}`,
      parameters: named,
      operations: operations(resource, ["get", "update", "patch", "delete"]),
    },
    ...resource.subresources.map((sub) => ({
      path: `${collection}/{name}/${sub.name}`,
      parameters: named,
      operations: subOperations(resource, sub),
    })),
  ].filter((path) => path.operations.length > 0);
}

const methods: Readonly<Record<string, readonly [Method, string]>> = {
  list: ["get", "list"],
  create: ["post", "post"],
  deletecollection: ["delete", "deletecollection"],
  get: ["get", "get"],
  update: ["put", "put"],
  patch: ["patch", "patch"],
  delete: ["delete", "delete"],
};

function operations(resource: Resource, verbs: readonly string[]): readonly Operation[] {
  return verbs.filter((verb) => resource.verbs.includes(verb)).map((verb) => operation(resource, verb, ""));
}

function operation(resource: Resource, verb: string, suffix: string): Operation {
  const [method, action] = methods[verb] ?? ["get", verb];
  const scope = resource.namespaced && suffix === "" ? "Namespaced" : "";
  const body = {
    create: resource.type,
    update: resource.type,
    patch: "patch",
    delete: deleteOptionsType,
    deletecollection: deleteOptionsType,
  }[verb];
  return {
    method,
    id: `${verb}${groupWords(resource)}${scope}${resource.kind}${suffix}`,
    action,
    kind: { group: resource.group, version: resource.version, kind: resource.kind },
    query: queryOf(verb),
    ...(body === undefined ? {} : { body }),
    answer: verb === "list" ? `${resource.type}List` : verb.startsWith("delete") ? statusType : resource.type,
  };
}

type Subresource = Resource["subresources"][number];

const subTypes: Readonly<Record<string, readonly [string, GroupVersionKind]>> = {
  Scale: ["io.k8s.api.autoscaling.v1.Scale", { group: "autoscaling", version: "v1", kind: "Scale" }],
  Binding: ["io.k8s.api.core.v1.Binding", { group: "", version: "v1", kind: "Binding" }],
  Eviction: ["io.k8s.api.policy.v1.Eviction", { group: "policy", version: "v1", kind: "Eviction" }],
};

function subOperations(resource: Resource, sub: Subresource): readonly Operation[] {
  const own = { group: resource.group, version: resource.version, kind: sub.kind };
  const [type, kind] = subTypes[sub.kind] ?? [sub.kind === resource.kind ? resource.type : undefined, own];
  return sub.verbs.flatMap((verb) => {
    const [method, action] = methods[verb] ?? ["get", verb];
    const connects = type === undefined;
    const words = `${groupWords(resource)}${resource.namespaced ? "Namespaced" : ""}${resource.kind}${capital(sub.name)}`;
    return [
      {
        method,
        id: `${connects ? `connect${capital(method)}` : verb}${words}`,
        action: connects ? "connect" : action,
        kind,
        query: connects ? [] : queryOf(verb),
        ...(connects || verb === "get" ? {} : { body: verb === "patch" ? "patch" : type }),
        answer: type ?? statusType,
      },
    ];
  });
}

function queryOf(verb: string): readonly (readonly [string, string])[] {
  switch (verb) {
    case "list":
      return listQuery;
    case "patch":
      return [...writeQuery, ["force", "boolean"]];
    case "create":
    case "update":
      return writeQuery;
    case "delete":
      return deleteQuery;
    case "deletecollection":
      return [
        ...deleteQuery,
        ...listQuery.filter(([name]) => !name.includes("atch") && name !== "allowWatchBookmarks"),
      ];
    default:
      return [];
  }
}

function groupWords({ group, version }: Resource): string {
  return `${group === "" ? "Core" : capital(group.split(".")[0] ?? "")}${capital(version)}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
