// Where objects lie in the store: /registry/<group, or "core">/<resource>/<namespace>/<name>, without namespace for cluster-wide ones.

export const registryPrefix = "/registry/";

/** What is needed of a Resource; this room knows no kinds. */
export interface ResourceName {
  readonly group: string;
  readonly resource: string;
}

/** "/registry/core/pods/" */
export function resourcePrefix(resource: ResourceName): string {
  return `${registryPrefix}${resource.group === "" ? "core" : resource.group}/${resource.resource}/`;
}

/** `key`: "namespace/name" or "name", as keyOf gives it. */
export function storeKey(resource: ResourceName, key: string): string {
  return resourcePrefix(resource) + key;
}

/** The parts of a store key; undefined when it is not an object's. */
export function parseStoreKey(storeKey: string): { readonly prefix: string; readonly key: string } | undefined {
  if (!storeKey.startsWith(registryPrefix)) return undefined;
  const resourceStart = storeKey.indexOf("/", registryPrefix.length) + 1;
  const keyStart = resourceStart === 0 ? 0 : storeKey.indexOf("/", resourceStart) + 1;
  if (keyStart === 0 || keyStart === storeKey.length) return undefined;
  return { prefix: storeKey.slice(0, keyStart), key: storeKey.slice(keyStart) };
}
