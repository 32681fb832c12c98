// Ports of the node that lead to ports of its pods, as elements of the node's table. Pure.
import { canonicalAddress } from "./addresses.ts";
import type { RuleElement } from "./service-rules.ts";

/** A container's hostPort. */
export interface HostPort {
  readonly podUid: string;
  /** "": all addresses of the node. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly protocol: string;
  readonly containerPort: number;
}

/** What one pod's host ports are in the table. */
export interface PodPorts {
  /** Cannot be the "namespace/name" of a service. */
  readonly key: string;
  readonly elements: readonly RuleElement[];
}

export type PodPortsIndex = ReadonlyMap<string, PodPorts>;

/** Pods without an address have none yet. Entries that did not change are the very objects of `before`. */
export function indexHostPorts(
  ports: readonly HostPort[],
  addressesOf: (podUid: string) => readonly string[],
  before: PodPortsIndex,
): PodPortsIndex {
  const elementsOf = new Map<string, RuleElement[]>();
  for (const port of ports) {
    const key = `host ports of ${port.podUid}`;
    const list = elementsOf.get(key) ?? [];
    list.push(...addressesOf(port.podUid).flatMap((address) => planHostPort(port, address)));
    elementsOf.set(key, list);
  }
  const index = new Map<string, PodPorts>();
  for (const [key, elements] of elementsOf) {
    const old = before.get(key);
    index.set(key, old !== undefined && isSame(old.elements, elements) ? old : { key, elements });
  }
  return index;
}

/** Nothing for what is not a port, a protocol or an address, and for an address of the other family. */
export function planHostPort(
  { hostIp, hostPort, protocol, containerPort }: Omit<HostPort, "podUid">,
  podAddress: string,
): readonly RuleElement[] {
  const address = canonicalAddress(podAddress);
  const name = protocol.toLowerCase();
  if (address === undefined || !["tcp", "udp", "sctp"].includes(name)) return [];
  if (!isPort(hostPort) || !isPort(containerPort)) return [];
  const family = address.includes(":") ? 6 : 4;
  const value = `${address} . ${containerPort}`;
  const hairpin: RuleElement = { map: "hairpins", family, key: `${address} . ${address}`, value: "" };
  if (hostIp === "" || hostIp === (family === 4 ? "0.0.0.0" : "::"))
    return [{ map: "host-ports", family, key: `${name} . ${hostPort}`, value }, hairpin];
  const bound = canonicalAddress(hostIp);
  if (bound === undefined || bound.includes(":") !== (family === 6)) return [];
  return [{ map: "bound-ports", family, key: `${bound} . ${name} . ${hostPort}`, value }, hairpin];
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function isSame(a: readonly RuleElement[], b: readonly RuleElement[]): boolean {
  const text = ({ map, key, value }: RuleElement) => `${map} ${key} ${value}`;
  return a.length === b.length && a.every((element, i) => text(element) === text(b[i] ?? element));
}
