// What a node is sent of each object, and which changes concern it at all: a pod's own status is not echoed back to the node that
// reported it, and of other nodes just what the network needs.
import { isDeepStrictEqual } from "node:util";
import type { Node, Pod } from "../kinds/generated/types.ts";
import type { KubeObject } from "../kinds/resource.ts";

/** The resources that nodes are sent; also the order within one assignment. */
export const nodeResources = [
  "nodes",
  "configmaps",
  "secrets",
  "persistentvolumes",
  "persistentvolumeclaims",
  "services",
  "endpointslices",
  "runtimeclasses",
  "pods",
] as const;
export type NodeResource = (typeof nodeResources)[number];

/** True when nodes need not hear of the step from `old` to `present`. */
export function isSameForNodes(resource: NodeResource, old: KubeObject, present: KubeObject): boolean {
  if (old === present) return true;
  switch (resource) {
    case "nodes":
      return isDeepStrictEqual(projectNode(old), projectNode(present));
    case "pods":
      return isDeepStrictEqual(podConcerns(old), podConcerns(present));
    default:
      return old.metadata?.resourceVersion === present.metadata?.resourceVersion;
  }
}

/** As JSON, kept with the object: however many nodes are sent it, it is encoded once. */
export function encodeForNodes(resource: NodeResource, object: KubeObject): Uint8Array<ArrayBuffer> {
  const known = encoded.get(object);
  if (known !== undefined) return known;
  const json = new TextEncoder().encode(JSON.stringify(resource === "nodes" ? projectNode(object) : trim(object)));
  encoded.set(object, json);
  return json;
}

const encoded = new WeakMap<KubeObject, Uint8Array<ArrayBuffer>>();

function trim(object: KubeObject): KubeObject {
  if (object.metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

// Annotations of ours tell about the node's network; its state of health does not concern its peers except for Ready.
function projectNode({ apiVersion, kind, metadata, spec, status }: Node): Node {
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([name]) =>
    name.startsWith(networkAnnotationPrefix),
  );
  const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status;
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    metadata: {
      ...(metadata?.name === undefined ? {} : { name: metadata.name }),
      ...(metadata?.uid === undefined ? {} : { uid: metadata.uid }),
      ...(metadata?.labels === undefined ? {} : { labels: metadata.labels }),
      ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
    },
    spec: {
      ...(spec?.podCIDR === undefined ? {} : { podCIDR: spec.podCIDR }),
      ...(spec?.podCIDRs === undefined ? {} : { podCIDRs: spec.podCIDRs }),
    },
    status: {
      ...(status?.addresses === undefined ? {} : { addresses: status.addresses }),
      ...(status?.daemonEndpoints === undefined ? {} : { daemonEndpoints: status.daemonEndpoints }),
      ...(ready === undefined ? {} : { conditions: [{ type: "Ready", status: ready }] }),
    },
  };
}

export const networkAnnotationPrefix = "network.naru.dev/";

// A node reports its pods' status itself; what others put there concerns it only when they ended the pod or opened a readiness gate.
function podConcerns({ metadata, spec, status }: Pod): unknown {
  const { resourceVersion: _, managedFields: __, ...rest } = metadata ?? {};
  const gates = new Set(spec?.readinessGates?.map(({ conditionType }) => conditionType));
  return {
    rest,
    spec,
    ended: status?.phase === "Failed" || status?.phase === "Succeeded" ? status.phase : undefined,
    gates: gates.size === 0 ? undefined : status?.conditions?.filter(({ type }) => gates.has(type)),
  };
}
