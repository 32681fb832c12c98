// What the kernel must know of a service, as elements of a few maps. Pure: services and endpoints in, elements out.

import { createHash } from "node:crypto";
import type { Endpoint, EndpointSlice, Service, ServicePort } from "../../api/kinds/generated/types.ts";
import { canonicalAddress, outerRanges, parseRange } from "./addresses.ts";

/**
 * guards: address, protocol and port lead to the chain that lets only some clients on.
 * services: address, protocol and port lead to the chain that picks among so many endpoints.
 * endpoints: the same and a slot number lead to an endpoint's address and port.
 * slots: where clients keep their endpoint, slots lead to endpoints' ids first, which stay theirs while others come and go.
 * nodeports, nodeport-endpoints, nodeport-slots: likewise without the address, for the node's own addresses.
 * host-ports, bound-ports: port of the node, the latter with one of its addresses, to a pod's address and port.
 * hairpins: pairs of the same local address; such a connection's source must be rewritten, or the pod would answer itself.
 */
export type MapName =
  | "guards"
  | "services"
  | "endpoints"
  | "slots"
  | "nodeports"
  | "nodeport-endpoints"
  | "nodeport-slots"
  | "host-ports"
  | "bound-ports"
  | "hairpins";

export interface RuleElement {
  readonly map: MapName;
  readonly family: 4 | 6;
  /** As nft writes it: "10.96.0.9 . tcp . 80". */
  readonly key: string;
  /** "goto …", or "10.244.1.5 . 8080"; "" in a set. */
  readonly value: string;
  /** Set where the value is a chain. */
  readonly chain?: PickChain | GuardChain;
}

/** A chain that drops what comes from elsewhere than these ranges; services with the same share it. */
export interface GuardChain {
  readonly family: 4 | 6;
  /** Of this family, none inside of another. */
  readonly ranges: readonly string[];
}

/** A chain that picks one of `count` endpoints; services with as many endpoints share it. */
export interface PickChain {
  readonly family: 4 | 6;
  /** cluster: by service address; external: likewise, from outside; node: by node port; node-local: without rewriting the source. */
  readonly entry: "cluster" | "external" | "node" | "node-local";
  /** How long after its last connection a client keeps its endpoint; undefined: each connection chooses anew. */
  readonly stickySeconds: number | undefined;
  readonly count: number;
}

const stickySecondsDefault = 10_800;

/** Endpoints of one service port beyond this many get no traffic. */
const endpointsPerPortMax = 1000;

/**
 * The slot is also the packet's mark while its connection is made, and this bit in it says that the source must become the node's
 * own address, or the answer would not come back through this node.
 */
export const masqueradeMark = 0x4000;

export function firstSlot(entry: PickChain["entry"]): number {
  return entry === "external" || entry === "node" ? masqueradeMark : 0;
}

export function chainName(chain: PickChain | GuardChain): string {
  if ("ranges" in chain) {
    const name = createHash("sha256").update(chain.ranges.join()).digest("hex").slice(0, 32);
    return `guard-${name}-ip${chain.family}`;
  }
  const pick = chain.stickySeconds === undefined ? "any" : `sticky${chain.stickySeconds}`;
  return `${chain.entry}-${pick}-${chain.count}-ip${chain.family}`;
}

/** Where clients are. */
export interface Here {
  readonly nodeName: string;
  /** "" when the node says none. */
  readonly zone: string;
}

/** Elements for a service on a node. What is not an address, a port or a known protocol adds nothing. */
export function planService(service: Service, slices: readonly EndpointSlice[], here: Here): readonly RuleElement[] {
  const spec = service.spec ?? {};
  if (spec.type === "ExternalName") return [];
  const elements: RuleElement[] = [];
  for (const port of spec.ports ?? []) {
    const protocol = protocolOf(port.protocol);
    if (protocol === undefined || !isPort(port.port)) continue;
    for (const family of [4, 6] as const) {
      elements.push(...planPort({ service, port, protocol, family, slices, here }));
    }
  }
  return elements;
}

/** An endpoint's address and port. */
export interface UdpEndpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * Endpoints that a change takes from some UDP service. A TCP client notices that its peer went; one of UDP sends on, and the kernel
 * goes on sending that to where it went before.
 */
export function lostUdpEndpoints(change: {
  readonly remove: readonly RuleElement[];
  readonly add: readonly RuleElement[];
}): readonly UdpEndpoint[] {
  // Without its slot: an endpoint that only moved to another is not lost.
  const place = ({ map, key, value }: RuleElement) =>
    `${map} ${map.endsWith("endpoints") ? key.replace(/ \. \d+$/, "") : key} ${value}`;
  const isUdpSlot = ({ map, key }: RuleElement) => /(endpoints|-ports)$/.test(map) && /(^| )udp \./.test(key);
  const kept = new Set(change.add.filter(isUdpSlot).map(place));
  const lost = change.remove.filter((element) => isUdpSlot(element) && !kept.has(place(element)));
  return [...new Set(lost.map(({ value }) => value))].map((value) => {
    const [address = "", port = ""] = value.split(" . ");
    return { address, port: Number(port) };
  });
}

interface PortContext {
  readonly service: Service;
  readonly port: ServicePort;
  readonly protocol: string;
  readonly family: 4 | 6;
  readonly slices: readonly EndpointSlice[];
  readonly here: Here;
}

interface Target {
  readonly address: string;
  readonly port: number;
  readonly isLocal: boolean;
  /** Whose clients it is for; undefined where nobody said. */
  readonly zones: readonly string[] | undefined;
}

function planPort(context: PortContext): readonly RuleElement[] {
  const { service, port, protocol, family, here } = context;
  const spec = service.spec ?? {};
  const clusterIps = inFamily([...new Set([spec.clusterIP ?? "", ...(spec.clusterIPs ?? [])])], family);
  const all = targetsOf(context);
  if (all.length === 0) return [];
  const local = all.filter(({ isLocal }) => isLocal);
  const stickySeconds =
    spec.sessionAffinity === "ClientIP"
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? stickySecondsDefault)
      : undefined;
  const isLocalOutside = spec.externalTrafficPolicy === "Local";
  const outside = isLocalOutside ? local : all;
  const elements: RuleElement[] = [];
  const inside = insideTargets(spec, { all, local, zone: here.zone });
  const entry = { family, stickySeconds } as const;
  for (const ip of clusterIps) {
    elements.push(...entries("services", `${ip} . ${protocol} . ${port.port}`, inside, { ...entry, entry: "cluster" }));
  }
  const ingress = (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? "");
  for (const ip of inFamily(ingress, family)) {
    elements.push(...guards(`${ip} . ${protocol} . ${port.port}`, spec.loadBalancerSourceRanges ?? [], family));
  }
  for (const ip of inFamily([...new Set([...(spec.externalIPs ?? []), ...ingress])], family)) {
    const chain = { ...entry, entry: isLocalOutside ? "cluster" : "external" } as const;
    elements.push(...entries("services", `${ip} . ${protocol} . ${port.port}`, outside, chain));
  }
  if (port.nodePort !== undefined && isPort(port.nodePort) && spec.type !== "ClusterIP") {
    const chain = { ...entry, entry: isLocalOutside ? "node-local" : "node" } as const;
    elements.push(...entries("nodeports", `${protocol} . ${port.nodePort}`, outside, chain));
  }
  if (elements.length === 0 || here.nodeName === "") return elements;
  for (const { address } of local) {
    elements.push({ map: "hairpins", family, key: `${address} . ${address}`, value: "" });
  }
  return elements;
}

/** Where clients of the cluster address go. */
function insideTargets(
  { internalTrafficPolicy, trafficDistribution = "" }: NonNullable<Service["spec"]>,
  { all, local, zone }: { readonly all: readonly Target[]; readonly local: readonly Target[]; readonly zone: string },
): readonly Target[] {
  if (internalTrafficPolicy === "Local") return local;
  if (trafficDistribution === "PreferSameNode" && local.length > 0) return local;
  return zonalDistributions.includes(trafficDistribution) ? ofZone(all, zone) : all;
}

/** PreferClose is the older name of PreferSameZone; whoever prefers its node prefers its zone next. */
const zonalDistributions: readonly string[] = ["PreferClose", "PreferSameZone", "PreferSameNode"];

// As kube-proxy: only where every endpoint says whom it is for, and one is for this zone.
function ofZone(all: readonly Target[], zone: string): readonly Target[] {
  if (zone === "" || all.some(({ zones }) => zones === undefined)) return all;
  const near = all.filter(({ zones }) => zones?.includes(zone));
  return near.length > 0 ? near : all;
}

function guards(key: string, texts: readonly string[], family: 4 | 6): readonly RuleElement[] {
  if (texts.length === 0) return [];
  const ranges = texts.flatMap((text) => parseRange(text.trim()) ?? []);
  const chain = { family, ranges: outerRanges(ranges, family) };
  return [{ map: "guards", family, key, value: `jump ${chainName(chain)}`, chain }];
}

function entries(
  map: "services" | "nodeports",
  key: string,
  targets: readonly Target[],
  chain: Omit<PickChain, "count">,
): readonly RuleElement[] {
  if (targets.length === 0) return [];
  const whole = { ...chain, count: targets.length };
  const { family } = chain;
  const isService = map === "services";
  const first = firstSlot(chain.entry);
  const ids = chain.stickySeconds === undefined ? targets.map((_, slot) => slot) : stickyIds(targets);
  const element = (name: MapName, mark: number, value: string): RuleElement => {
    return { map: name, family, key: `${key} . ${first + mark}`, value };
  };
  return [
    { map, family, key, value: `goto ${chainName(whole)}`, chain: whole },
    ...(chain.stickySeconds === undefined
      ? []
      : ids.map((id, slot) => element(isService ? "slots" : "nodeport-slots", slot, `${first + id}`))),
    ...targets.map(({ address, port }, i) =>
      element(isService ? "endpoints" : "nodeport-endpoints", ids[i] ?? i, `${address} . ${port}`),
    ),
  ];
}

/** Below the mark's other bit, and far more than endpoints. */
const stickyIdsMax = masqueradeMark;

/** An endpoint's own number, by what it is and not by who else is there; of two with the same, the second has the next free one. */
function stickyIds(targets: readonly Target[]): readonly number[] {
  const taken = new Set<number>();
  for (const { address, port } of targets) {
    let id = createHash("sha256").update(`${address} ${port}`).digest().readUInt32BE() % stickyIdsMax;
    while (taken.has(id)) id = (id + 1) % stickyIdsMax;
    taken.add(id);
  }
  return [...taken];
}

// Ready endpoints; when there are none, those that still serve while they end.
function targetsOf(context: PortContext): readonly Target[] {
  const ready = collectTargets(context, ({ ready: isReady }) => isReady !== false);
  if (ready.length > 0) return ready;
  return collectTargets(context, ({ serving, terminating }) => serving === true && terminating === true);
}

function collectTargets(
  { port, protocol, family, slices, here }: PortContext,
  take: (conditions: NonNullable<Endpoint["conditions"]>) => boolean,
): readonly Target[] {
  const found = new Map<string, Target>();
  for (const slice of slices) {
    if (slice.addressType !== `IPv${family}`) continue;
    const slicePort = slice.ports?.find(
      (one) => (one.name ?? "") === (port.name ?? "") && protocolOf(one.protocol) === protocol,
    );
    if (slicePort?.port === undefined || !isPort(slicePort.port)) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const [address] = inFamily(endpoint.addresses.slice(0, 1), family);
      if (address === undefined || !take(endpoint.conditions ?? {})) continue;
      const isLocal = endpoint.nodeName === here.nodeName;
      const zones = endpoint.hints?.forZones?.map(({ name }) => name);
      found.set(`${address} ${slicePort.port}`, { address, port: slicePort.port, isLocal, zones });
    }
  }
  const keys = [...found.keys()].sort().slice(0, endpointsPerPortMax);
  return keys.flatMap((key) => found.get(key) ?? []);
}

function inFamily(texts: readonly string[], family: 4 | 6): readonly string[] {
  return texts.flatMap((text) => {
    const address = canonicalAddress(text);
    return address !== undefined && address.includes(":") === (family === 6) ? [address] : [];
  });
}

function protocolOf(name: string | undefined): string | undefined {
  const protocol = (name ?? "TCP").toLowerCase();
  return protocol === "tcp" || protocol === "udp" || protocol === "sctp" ? protocol : undefined;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}
