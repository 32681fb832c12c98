// The addresses behind the Service of the cluster's own registry: every ready node is the registry.
import { conditionOf } from "../api/kinds/conditions.ts";
import { endpointslices } from "../api/kinds/generated/resources.ts";
import type { EndpointSlice, Node } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import { type StartController, serviceNameLabel } from "./context.ts";

const namespace = "naru-system";
const service = "registry";
const registryPort = 5000;
const families = ["IPv4", "IPv6"] as const;
/** As many as a slice may have. */
const endpointsMax = 1000;

/** The slice of one family. Pure. */
export function planRegistrySlice(nodes: Iterable<Node>, family: "IPv4" | "IPv6"): EndpointSlice {
  const endpoints = [...nodes]
    .filter(({ status }) => conditionOf(status?.conditions, "Ready")?.status === "True")
    .flatMap(({ metadata, status }) =>
      (status?.addresses ?? [])
        .filter(({ type, address }) => type === "InternalIP" && address.includes(":") === (family === "IPv6"))
        .map(({ address }) => ({
          addresses: [address],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: metadata?.name ?? "",
        })),
    )
    .sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1))
    .slice(0, endpointsMax);
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace,
      name: `${service}-${family.toLowerCase()}`,
      labels: {
        [serviceNameLabel]: service,
        "endpointslice.kubernetes.io/managed-by": "registry-controller.naru.dev",
      },
    },
    addressType: family,
    endpoints,
    ports: [{ name: "https", protocol: "TCP", port: registryPort }],
  };
}

export const startRegistryController: StartController = ({ client, informers, loop: start }) => {
  const loop = start({
    name: "registry",
    reconcile: async () => {
      if (informers.services.get(`${namespace}/${service}`) === undefined) return undefined;
      for (const family of families) {
        const slice = planRegistrySlice(informers.nodes.list(), family);
        const name = slice.metadata?.name ?? "";
        const old = informers.endpointSlices.get(`${namespace}/${name}`);
        if (old === undefined && slice.endpoints?.length === 0) continue;
        if (old !== undefined && JSON.stringify(old.endpoints) === JSON.stringify(slice.endpoints)) continue;
        const { resourceVersion = "" } = old?.metadata ?? {};
        const written =
          old === undefined
            ? client.create(endpointslices, slice)
            : client.update(endpointslices, { ...slice, metadata: { ...slice.metadata, resourceVersion } });
        await written.catch((error: unknown) => {
          // The cache lags behind: what comes next is another pass.
          if (!isReason(error, "AlreadyExists", "Conflict", "NotFound")) throw error;
        });
      }
      return undefined;
    },
  });
  const key = `${namespace}/${service}`;
  informers.nodes.onChange((_, node, previous) => {
    const facts = (one: Node | undefined) =>
      one && JSON.stringify([conditionOf(one.status?.conditions, "Ready")?.status, one.status?.addresses]);
    if (facts(node) !== facts(previous)) loop.add(key);
  });
  informers.services.onChange((changed) => {
    if (changed === key) loop.add(key);
  });
  informers.endpointSlices.onChange((changed) => {
    if (changed.startsWith(`${key}-`)) loop.add(key);
  });
  return loop;
};
