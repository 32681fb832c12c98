// Services with their endpoint slices, by "namespace/name". Pure; objects are shared and compared by identity.

import type { EndpointSlice, Service } from "../../api/kinds/generated/types.ts";
import { keyOf } from "../../api/kinds/resource.ts";
import type { ClusterNetworkState } from "./network.ts";

export interface IndexedService {
  readonly key: string;
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
}

export type ClusterIndex = ReadonlyMap<string, IndexedService>;

const serviceNameLabel = "kubernetes.io/service-name";

/** Entries that did not change are the very objects of `before`, so that users can tell by identity what did. */
export function indexCluster(
  state: Pick<ClusterNetworkState, "services" | "endpointSlices">,
  before: ClusterIndex,
): ClusterIndex {
  const slicesOf = new Map<string, EndpointSlice[]>();
  for (const slice of state.endpointSlices) {
    const name = slice.metadata?.labels?.[serviceNameLabel];
    if (name === undefined) continue;
    const key = `${slice.metadata?.namespace ?? ""}/${name}`;
    const list = slicesOf.get(key);
    if (list === undefined) slicesOf.set(key, [slice]);
    else list.push(slice);
  }
  const index = new Map<string, IndexedService>();
  for (const service of state.services) {
    const key = keyOf(service);
    const slices = slicesOf.get(key) ?? [];
    const old = before.get(key);
    const isSame = old !== undefined && old.service === service && sameItems(old.slices, slices);
    index.set(key, isSame ? old : { key, service, slices });
  }
  return index;
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
