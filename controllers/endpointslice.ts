// Lists the addresses behind every Service that selects pods.

import { isTrue } from "../api/kinds/conditions.ts";
import { endpointslices, services } from "../api/kinds/generated/resources.ts";
import type { Endpoint, EndpointPort, EndpointSlice, Pod, Service } from "../api/kinds/generated/types.ts";
import { controllerReference } from "../api/kinds/owners.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { isReason } from "../api/kinds/status.ts";
import { byNamespace, byNode, byService, type StartController, serviceNameLabel } from "./context.ts";

const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const managedBy = "endpointslice-controller.naru.dev";
const endpointsPerSliceMax = 1000;

const zoneLabel = "topology.kubernetes.io/zone";

/** Source: Kubernetes, "Traffic distribution": who has one says for whom each endpoint is. */
const zonal: readonly string[] = ["PreferClose", "PreferSameZone", "PreferSameNode"];

/**
 * The slices a Service shall have, by name. Pods whose named ports resolve differently get slices of their own. Pure. `zoneOf`: a
 * node's; "" where it is in none.
 */
export function planSlices(
  service: Service,
  pods: readonly Pod[],
  zoneOf: (nodeName: string) => string,
): ReadonlyMap<string, EndpointSlice> {
  const groups = new Map<
    string,
    { readonly ports: readonly EndpointPort[]; readonly endpoints: Endpoint[]; readonly family: "IPv4" | "IPv6" }
  >();
  const add = (family: "IPv4" | "IPv6", ports: readonly EndpointPort[], endpoint: Endpoint) => {
    const key = `${family} ${JSON.stringify(ports)}`;
    const group = groups.get(key) ?? { ports, endpoints: [], family };
    group.endpoints.push(endpoint);
    groups.set(key, group);
  };
  for (const pod of [...pods].sort((a, b) => ((a.metadata?.name ?? "") < (b.metadata?.name ?? "") ? -1 : 1))) {
    const ports = portsOf(service, pod);
    for (const { ip } of pod.status?.podIPs ?? [])
      add(
        ip.includes(":") ? "IPv6" : "IPv4",
        ports,
        endpointOf(service, pod, { ip, zone: zoneOf(pod.spec?.nodeName ?? "") }),
      );
  }
  if (groups.size === 0) groups.set("", { ports: portsOf(service, undefined), endpoints: [], family: "IPv4" });
  const slices = new Map<string, EndpointSlice>();
  for (const { ports, endpoints, family } of groups.values()) {
    for (let start = 0; start === 0 || start < endpoints.length; start += endpointsPerSliceMax) {
      const name = `${service.metadata?.name}-${family.toLowerCase()}-${slices.size}`;
      slices.set(
        name,
        sliceOf(service, name, { family, ports, endpoints: endpoints.slice(start, start + endpointsPerSliceMax) }),
      );
    }
  }
  return slices;
}

export const startEndpointSliceController: StartController = ({ client, informers, loop: start }) => {
  const zoneOf = (nodeName: string) => informers.nodes.get(nodeName)?.metadata?.labels?.[zoneLabel] ?? "";
  const reconcile = async (key: string) => {
    const service = informers.services.get(key);
    const selector = Object.entries(service?.spec?.selector ?? {});
    // Without a selector the slices are somebody else's; without the Service the garbage collector takes them.
    if (service === undefined || service.metadata?.deletionTimestamp !== undefined || selector.length === 0)
      return undefined;
    const namespace = service.metadata?.namespace ?? "";
    const pods = informers.pods
      .byIndex(byNamespace, namespace)
      .filter(
        (pod) =>
          selector.every(([k, v]) => pod.metadata?.labels?.[k] === v) &&
          !hasEnded(pod) &&
          (pod.status?.podIPs ?? []).length > 0,
      );
    const wanted = planSlices(service, pods, zoneOf);
    const present = new Map(
      informers.endpointSlices
        .byIndex(byService, key)
        .filter(({ metadata }) => metadata?.labels?.[managedByLabel] === managedBy)
        .map((slice) => [slice.metadata?.name ?? "", slice]),
    );
    for (const [name, slice] of wanted) await put(namespace, name, slice, present.get(name));
    for (const name of present.keys())
      if (!wanted.has(name)) await client.delete(endpointslices, { namespace, name }).catch(ignoreGone);
    return undefined;
  };

  const put = async (
    namespace: string,
    name: string,
    slice: EndpointSlice,
    cached: EndpointSlice | undefined,
  ): Promise<void> => {
    if (cached !== undefined && isSame(cached, slice)) return;
    if (cached === undefined) {
      try {
        await client.create(endpointslices, slice);
        return;
      } catch (error) {
        if (!isReason(error, "AlreadyExists")) throw error;
      }
    }
    const old = await client.get(endpointslices, { namespace, name });
    if (isSame(old, slice)) return;
    await client.update(endpointslices, {
      ...slice,
      metadata: { ...slice.metadata, resourceVersion: old.metadata?.resourceVersion ?? "" },
    });
  };

  const loop = start({ name: "endpointslice", reconcile, concurrency: 8 });
  // Which Services a pod is behind is found by their selectors, kept per namespace.
  const selecting = (pod: Pod | undefined): readonly string[] =>
    pod === undefined
      ? []
      : informers.services
          .byIndex(byNamespace, pod.metadata?.namespace ?? "")
          .filter(({ spec }) => {
            const selector = Object.entries(spec?.selector ?? {});
            return selector.length > 0 && selector.every(([k, v]) => pod.metadata?.labels?.[k] === v);
          })
          .map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
  informers.services.onChange((key) => loop.add(key));
  informers.endpointSlices.onChange((_, slice, previous) => {
    const { namespace, labels } = (slice ?? previous)?.metadata ?? {};
    if (labels?.[managedByLabel] === managedBy) loop.add(`${namespace}/${labels[serviceNameLabel]}`);
  });
  // Machines seldom move: what is behind all their services is looked at.
  informers.nodes.onChange((name, node, previous) => {
    if (node?.metadata?.labels?.[zoneLabel] === previous?.metadata?.labels?.[zoneLabel]) return;
    for (const pod of informers.pods.byIndex(byNode, name)) for (const key of selecting(pod)) loop.add(key);
  });
  informers.pods.onChange((_, pod, previous) => {
    if (pod !== undefined && previous !== undefined && endpointFacts(pod) === endpointFacts(previous)) return;
    for (const key of new Set([...selecting(pod), ...selecting(previous)])) loop.add(key);
  });
  return loop;
};

// What of a pod an endpoint shows: other changes of pods cost nothing here.
function endpointFacts({ metadata, spec, status }: Pod): string {
  return JSON.stringify([
    metadata?.labels,
    metadata?.deletionTimestamp,
    spec?.nodeName,
    status?.podIPs,
    status?.phase,
    isTrue(status?.conditions, "Ready"),
  ]);
}

function endpointOf(
  service: Service,
  pod: Pod,
  { ip, zone }: { readonly ip: string; readonly zone: string },
): Endpoint {
  const ready = isTrue(pod.status?.conditions, "Ready");
  const terminating = pod.metadata?.deletionTimestamp !== undefined;
  const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
  return {
    addresses: [ip],
    conditions: {
      ready: (ready || service.spec?.publishNotReadyAddresses === true) && !terminating,
      serving: ready,
      terminating,
    },
    ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    ...(zone === "" ? {} : { zone }),
    ...hintsFor(service, pod, zone),
    ...(pod.spec?.hostname === undefined ? {} : { hostname: pod.spec.hostname }),
    targetRef: { kind: "Pod", namespace, name, uid },
  };
}

function hintsFor({ spec }: Service, pod: Pod, zone: string): Pick<Endpoint, "hints"> {
  const distribution = spec?.trafficDistribution ?? "";
  if (!zonal.includes(distribution) || zone === "") return {};
  const forNodes = distribution === "PreferSameNode" ? { forNodes: [{ name: pod.spec?.nodeName ?? "" }] } : {};
  return { hints: { ...forNodes, forZones: [{ name: zone }] } };
}

function portsOf(service: Service, pod: Pod | undefined): readonly EndpointPort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const { name = "", protocol = "TCP", appProtocol } = port;
    const target = port.targetPort ?? port.port;
    const number = typeof target === "number" ? target : namedPort(pod, target, protocol);
    return number === undefined
      ? []
      : [{ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
}

function namedPort(pod: Pod | undefined, name: string, protocol: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const containers = [...(pod?.spec?.containers ?? []), ...(pod?.spec?.initContainers ?? [])];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .find((port) => port.name === name && (port.protocol ?? "TCP") === protocol)?.containerPort;
}

function sliceOf(
  service: Service,
  name: string,
  { family, ports, endpoints }: { family: string; ports: readonly EndpointPort[]; endpoints: readonly Endpoint[] },
): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: service.metadata?.namespace ?? "",
      name,
      labels: {
        ...service.metadata?.labels,
        [serviceNameLabel]: service.metadata?.name ?? "",
        [managedByLabel]: managedBy,
      },
      ownerReferences: [controllerReference(services, service)],
    },
    addressType: family,
    endpoints,
    ports,
  };
}

function isSame(a: EndpointSlice, b: EndpointSlice): boolean {
  const facts = ({ metadata, endpoints, ports }: EndpointSlice) =>
    JSON.stringify([Object.entries(metadata?.labels ?? {}).sort(), endpoints ?? [], ports ?? []]);
  return facts(a) === facts(b);
}

function ignoreGone(error: unknown): void {
  if (!isReason(error, "NotFound")) throw error;
}
