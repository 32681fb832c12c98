// Services of type LoadBalancer, where no other balancer is: the nodes' own addresses, on the service's ports. Of several services that
// want a port the oldest has it; the others stay pending and say why.
import { conditionOf } from "../api/kinds/conditions.ts";
import { services } from "../api/kinds/generated/resources.ts";
import type { EndpointSlice, LoadBalancerIngress, Node, Service } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import { byService, type StartController, serviceNameLabel } from "./context.ts";

const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";
/** Every address is an entry per port on every node. */
const addressesMax = 100;

export type LoadBalancerPlan =
  | { readonly type: "ingress"; readonly ingress: readonly LoadBalancerIngress[] }
  | { readonly type: "pending"; readonly message: string };

export interface Around {
  /** All services, this one may be among them. */
  readonly services: Iterable<Service>;
  readonly nodes: Iterable<Node>;
  /** This service's. */
  readonly slices: readonly EndpointSlice[];
}

/** The status that a service should have. */
export function planLoadBalancer(service: Service, { services: others, nodes, slices }: Around): LoadBalancerPlan {
  if (!isOurs(service)) return { type: "ingress", ingress: [] };
  for (const other of others) {
    if (!isOurs(other) || !isBefore(other, service)) continue;
    const taken = portsOf(other).find((port) => portsOf(service).includes(port));
    if (taken !== undefined)
      return {
        type: "pending",
        message: `port ${taken} of the nodes belongs to service ${keyOf(other)}: choose another`,
      };
  }
  const { externalTrafficPolicy, loadBalancerIP } = service.spec ?? {};
  const local = externalTrafficPolicy === "Local" ? nodesOf(slices) : undefined;
  const ready = [...nodes].filter(takesTraffic);
  const able = ready.filter(({ metadata }) => local === undefined || local.has(metadata?.name ?? ""));
  const addresses = able.flatMap(addressesOf).filter((address) => !loadBalancerIP || address === loadBalancerIP);
  if (addresses.length === 0) {
    const which = `${local === undefined ? "" : " that has a ready pod of it"}${loadBalancerIP ? ` with the address ${loadBalancerIP}` : ""}`;
    return { type: "pending", message: `no node${which} is ready to take its traffic` };
  }
  return {
    type: "ingress",
    ingress: addresses
      .sort()
      .slice(0, addressesMax)
      .map((ip) => ({ ip, ipMode: "VIP" })),
  };
}

export const startLoadBalancerController: StartController = ({ client, informers, recorder, loop: start }) => {
  const loop = start({
    name: "load-balancer",
    reconcile: async (key) => {
      const service = informers.services.get(key);
      if (service === undefined || service.metadata?.deletionTimestamp !== undefined) return undefined;
      const plan = planLoadBalancer(service, {
        services: informers.services.list(),
        nodes: informers.nodes.list(),
        slices: informers.endpointSlices.byIndex(byService, key),
      });
      if (plan.type === "pending")
        recorder.record({ resource: services, object: service }, "Warning", "LoadBalancerPending", plan.message);
      const ingress = plan.type === "ingress" ? plan.ingress : [];
      if (JSON.stringify(ingress) === JSON.stringify(service.status?.loadBalancer?.ingress ?? [])) return undefined;
      const status = { ...service.status, loadBalancer: ingress.length === 0 ? {} : { ingress } };
      await client.updateStatus(services, { ...service, status }).catch((error: unknown) => {
        if (!isReason(error, "Conflict", "NotFound")) throw error;
      });
      return undefined;
    },
  });
  const addAll = () => {
    for (const service of informers.services.list()) if (isOurs(service)) loop.add(keyOf(service));
  };
  informers.services.onChange((key, service, previous) => {
    if (service !== undefined && (isOurs(service) || service.status?.loadBalancer?.ingress !== undefined))
      loop.add(key);
    // A port that becomes free may be what another waits for.
    if (
      previous !== undefined &&
      isOurs(previous) &&
      (service === undefined || portsOf(service).join() !== portsOf(previous).join())
    )
      addAll();
  });
  informers.endpointSlices.onChange((_, slice, previous) => {
    const { metadata } = slice ?? previous ?? {};
    const service = informers.services.get(`${metadata?.namespace}/${metadata?.labels?.[serviceNameLabel] ?? ""}`);
    if (service !== undefined && isOurs(service) && service.spec?.externalTrafficPolicy === "Local")
      loop.add(keyOf(service));
  });
  informers.nodes.onChange((_, node, previous) => {
    const signature = (one: Node | undefined) =>
      one === undefined || !takesTraffic(one) ? "" : addressesOf(one).join();
    if (signature(node) !== signature(previous)) addAll();
  });
  return loop;
};

function isOurs({ spec }: Service): boolean {
  return spec?.type === "LoadBalancer" && spec.loadBalancerClass === undefined;
}

function portsOf({ spec }: Service): readonly string[] {
  return (spec?.ports ?? []).map(({ port, protocol }) => `${port}/${protocol ?? "TCP"}`);
}

function isBefore(a: Service, b: Service): boolean {
  const [first = "", second = ""] = [a.metadata?.creationTimestamp, b.metadata?.creationTimestamp];
  return first === second ? keyOf(a) < keyOf(b) : first < second;
}

function takesTraffic({ metadata, status }: Node): boolean {
  return conditionOf(status?.conditions, "Ready")?.status === "True" && metadata?.labels?.[excludeLabel] === undefined;
}

function nodesOf(slices: readonly EndpointSlice[]): ReadonlySet<string> {
  const ready = slices.flatMap(({ endpoints = [] }) =>
    endpoints.filter(({ conditions }) => conditions?.ready !== false),
  );
  return new Set(ready.flatMap(({ nodeName }) => nodeName ?? []));
}

function addressesOf({ status }: Node): readonly string[] {
  return (status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
}

function keyOf({ metadata }: Service): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}
