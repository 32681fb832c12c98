// What every room knows of a kind: where it lives in the API and the TypeScript type of its objects.
import type { ObjectMeta } from "./generated/types.ts";

/** Any object that the API stores. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
}

/** A served resource; the type parameter carries its objects' type and has no value at run time. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case: as it stands in paths. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly { readonly name: string; readonly kind: string; readonly verbs: readonly string[] }[];
  /** Full name of its type in generated/schemas.json. */
  readonly type: string;
  readonly _object?: T;
}

/** "v1" or "apps/v1". */
export function apiVersionOf(resource: Pick<Resource, "group" | "version">): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** "namespace/name", or "name" for objects without a namespace. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata ?? {};
  return namespace === undefined ? (name ?? "") : `${namespace}/${name ?? ""}`;
}
