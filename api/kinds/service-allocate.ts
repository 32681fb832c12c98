// Addresses and ports that a Service gets from the cluster, and keeps as long as it is of a type that has them.
import type { Service, ServicePort, ServiceSpec } from "./generated/types.ts";
import type { Allocate } from "./kind.ts";

/** A new Service: what it asks for, and what is free for the rest. */
export function allocateService(service: Service, allocate: Allocate): Service {
  return withSpec(service, undefined, allocate);
}

/** An update: what the old Service had stays, unless the update asks for something else. */
export function reallocateService(service: Service, old: Service, allocate: Allocate): Service {
  return withSpec(service, old.spec, allocate);
}

function withSpec(service: Service, old: ServiceSpec | undefined, allocate: Allocate): Service {
  const name = service.metadata?.name ?? "";
  const free: Free = {
    clusterIp: (wanted) => allocate.clusterIp(wanted, { name, field: "spec.clusterIPs" }),
    nodePort: (wanted, field) => allocate.nodePort(wanted, { name, field }),
  };
  return service.spec === undefined ? service : { ...service, spec: allocated(service.spec, old, free) };
}

/** What is free, for this Service. */
interface Free {
  clusterIp(wanted: string | undefined): string;
  nodePort(wanted: number | undefined, field: string): number;
}

function allocated(spec: ServiceSpec, old: ServiceSpec | undefined, free: Free): ServiceSpec {
  if (spec.type === "ExternalName") {
    const { clusterIP: _ip, clusterIPs: _ips, ipFamilies: _f, ipFamilyPolicy: _p, ...rest } = spec;
    return { ...rest, ...(rest.ports === undefined ? {} : { ports: rest.ports.map(withoutNodePort) }) };
  }
  const wanted = spec.clusterIP || spec.clusterIPs?.[0] || undefined;
  const had = old?.type === "ExternalName" ? undefined : old?.clusterIP || undefined;
  // An address that changes is refused by validateUpdate: nothing is taken for it.
  const clusterIP = wanted === "None" || had !== undefined ? (wanted ?? had ?? "None") : free.clusterIp(wanted);
  const { healthCheckNodePort: _, ...plain } = spec;
  const ports = spec.ports === undefined ? undefined : allocatedPorts(spec, old?.ports ?? [], free);
  return {
    ...plain,
    clusterIP,
    clusterIPs: [clusterIP],
    ipFamilies: spec.ipFamilies ?? ["IPv4"],
    ipFamilyPolicy: spec.ipFamilyPolicy || "SingleStack",
    ...(ports === undefined ? {} : { ports }),
    ...healthCheck(spec, old, free),
  };
}

// Where nodes say whether they have endpoints of the service: its balancer must send nothing to those without.
function healthCheck(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  free: Free,
): Pick<ServiceSpec, "healthCheckNodePort"> {
  if (spec.type !== "LoadBalancer" || spec.externalTrafficPolicy !== "Local") return {};
  const had = old?.healthCheckNodePort || undefined;
  // Another one than it has is refused by validateUpdate.
  const field = "spec.healthCheckNodePort";
  return { healthCheckNodePort: had ?? free.nodePort(spec.healthCheckNodePort || undefined, field) };
}

function allocatedPorts(spec: ServiceSpec, old: readonly ServicePort[], free: Free): readonly ServicePort[] {
  const ports = spec.ports ?? [];
  if (!hasNodePorts(spec)) return ports.map(withoutNodePort);
  // One number may serve TCP and UDP of the same Service: it is taken once.
  const own = new Set(old.map((port) => port.nodePort).filter((port) => port !== undefined && port !== 0));
  const explicit = new Set(ports.map((port) => port.nodePort));
  return ports.map((port, index) => {
    const before = old.find((o) => o.port === port.port && o.protocol === port.protocol)?.nodePort;
    const wanted = port.nodePort || (before !== undefined && !explicit.has(before) ? before : undefined);
    if (wanted !== undefined && own.has(wanted)) return { ...port, nodePort: wanted };
    const nodePort = free.nodePort(wanted, `spec.ports[${index}].nodePort`);
    own.add(nodePort);
    return { ...port, nodePort };
  });
}

function hasNodePorts(spec: ServiceSpec): boolean {
  return spec.type === "NodePort" || (spec.type === "LoadBalancer" && spec.allocateLoadBalancerNodePorts !== false);
}

function withoutNodePort(port: ServicePort): ServicePort {
  const { nodePort: _, ...rest } = port;
  return rest;
}
