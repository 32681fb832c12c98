// Names of the cluster: which records a name has (Kubernetes' DNS-Based Service Discovery, version 1.1.0). Pure.
import { isIP } from "node:net";
import type { Endpoint } from "../../api/kinds/generated/types.ts";
import { canonicalAddress } from "./addresses.ts";
import type { ClusterIndex, IndexedService } from "./cluster-index.ts";

export type DnsRecord =
  | { readonly type: "A" | "AAAA" | "PTR" | "CNAME"; readonly name: string; readonly data: string }
  | { readonly type: "TXT"; readonly name: string; readonly data: readonly string[] }
  | { readonly type: "SRV"; readonly name: string; readonly data: { readonly port: number; readonly target: string } };

export type NameAnswer =
  /** Records of the name, of any type: the asker takes the type that was asked for; none of it means "no data". */
  | { readonly found: "records"; readonly records: readonly DnsRecord[] }
  | { readonly found: "nothing" }
  /** Not ours to answer. */
  | { readonly found: "elsewhere" };

export interface ClusterNames {
  readonly index: ClusterIndex;
  /** Namespaces with a service. */
  readonly namespaces: ReadonlySet<string>;
  /** By address: names of services, and of pods of services without an address of their own. */
  readonly reverse: () => ReadonlyMap<string, string>;
  readonly domain: string;
}

const nothing: NameAnswer = { found: "nothing" };
const noRecords: NameAnswer = { found: "records", records: [] };

/** The reverse names are collected when first asked for. */
export function clusterNames(index: ClusterIndex, domain: string): ClusterNames {
  const namespaces = new Set([...index.keys()].map((key) => key.slice(0, key.indexOf("/"))));
  let reverse: ReadonlyMap<string, string> | undefined;
  return {
    index,
    namespaces,
    domain,
    reverse: () => {
      reverse ??= collectReverse(index, domain);
      return reverse;
    },
  };
}

/** What a name (lower case, without the last dot) has. */
export function lookUp(names: ClusterNames, name: string): NameAnswer {
  const address = addressOfReverse(name);
  if (address !== undefined) {
    const target = names.reverse().get(address);
    return target === undefined
      ? { found: "elsewhere" }
      : { found: "records", records: [{ type: "PTR", name, data: target }] };
  }
  if (name === names.domain) return noRecords;
  if (!name.endsWith(`.${names.domain}`)) return { found: "elsewhere" };
  const labels = name.slice(0, -names.domain.length - 1).split(".");
  const kind = labels.pop();
  if (kind === "dns-version" && labels.length === 0) {
    return { found: "records", records: [{ type: "TXT", name, data: ["1.1.0"] }] };
  }
  if (kind === "pod") return podName(names, name, labels);
  return kind === "svc" ? serviceName(names, name, labels) : nothing;
}

function podName(names: ClusterNames, name: string, labels: readonly string[]): NameAnswer {
  const namespace = labels.at(-1);
  if (namespace === undefined) return noRecords;
  if (!names.namespaces.has(namespace) || labels.length > 2) return nothing;
  if (labels.length === 1) return noRecords;
  const dashed = labels[0] ?? "";
  const address = canonicalAddress(dashed.replaceAll("-", ".")) ?? canonicalAddress(dashed.replaceAll("-", ":"));
  return address === undefined ? nothing : { found: "records", records: [addressRecord(name, address)] };
}

function serviceName(names: ClusterNames, name: string, labels: readonly string[]): NameAnswer {
  const [namespace, service] = [labels.at(-1), labels.at(-2)];
  if (namespace === undefined) return noRecords;
  if (!names.namespaces.has(namespace)) return nothing;
  if (service === undefined) return noRecords;
  const entry = names.index.get(`${namespace}/${service}`);
  if (entry === undefined) return nothing;
  const base = `${service}.${namespace}.svc.${names.domain}`;
  const below = labels.slice(0, -2);
  if (entry.service.spec?.type === "ExternalName") {
    const target = (entry.service.spec.externalName ?? "").replace(/\.$/, "").toLowerCase();
    if (below.length > 0 || !isName(target)) return nothing;
    if (isIP(target) !== 0) return { found: "records", records: [addressRecord(name, target)] };
    return { found: "records", records: [{ type: "CNAME", name, data: target }] };
  }
  if (below.length === 0) return { found: "records", records: addressesOf(entry).map((ip) => addressRecord(name, ip)) };
  const [first = "", second] = below;
  if (first.startsWith("_") && (second === undefined || second.startsWith("_")))
    return portName(entry, { name, base, below });
  if (below.length > 1) return protocolOnly(below) ? noRecords : nothing;
  const own = endpointsOf(entry).filter((one) => one.hostname === first);
  return own.length === 0 ? nothing : { found: "records", records: own.map(({ ip }) => addressRecord(name, ip)) };
}

function portName(
  entry: IndexedService,
  asked: { readonly name: string; readonly base: string; readonly below: readonly string[] },
): NameAnswer {
  const { name, base, below } = asked;
  if (below.length === 1) {
    const known = (entry.service.spec?.ports ?? []).some((port) => `_${protocolOf(port.protocol)}` === below[0]);
    return known ? noRecords : nothing;
  }
  if (below.length > 2) return nothing;
  const isAsked = (port: { readonly name?: string; readonly protocol?: string }) =>
    port.name !== undefined && `_${port.name}` === below[0] && `_${protocolOf(port.protocol)}` === below[1];
  const records: DnsRecord[] = [];
  if (isHeadless(entry)) {
    for (const { hostname, ports } of endpointsOf(entry)) {
      for (const port of ports) {
        if (!isAsked(port) || port.port === undefined) continue;
        records.push({ type: "SRV", name, data: { port: port.port, target: `${hostname}.${base}` } });
      }
    }
  } else {
    for (const port of entry.service.spec?.ports ?? []) {
      if (isAsked(port)) records.push({ type: "SRV", name, data: { port: port.port, target: base } });
    }
  }
  return records.length === 0 ? nothing : { found: "records", records };
}

function isHeadless({ service }: IndexedService): boolean {
  return service.spec?.clusterIP === undefined || service.spec.clusterIP === "None" || service.spec.clusterIP === "";
}

function addressesOf(entry: IndexedService): readonly string[] {
  if (isHeadless(entry)) return [...new Set(endpointsOf(entry).map(({ ip }) => ip))];
  const { clusterIP = "", clusterIPs = [] } = entry.service.spec ?? {};
  return [...new Set([clusterIP, ...clusterIPs])].flatMap((text) => canonicalAddress(text) ?? []);
}

interface NamedEndpoint {
  readonly ip: string;
  /** Its own, or its address with dashes. */
  readonly hostname: string;
  readonly ports: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

function endpointsOf({ service, slices }: IndexedService): readonly NamedEndpoint[] {
  const all = service.spec?.publishNotReadyAddresses === true;
  const isReady = (endpoint: Endpoint) => all || endpoint.conditions?.ready !== false;
  const found: NamedEndpoint[] = [];
  for (const slice of slices) {
    if (slice.addressType === "FQDN") continue;
    for (const endpoint of slice.endpoints ?? []) {
      const ip = canonicalAddress(endpoint.addresses[0] ?? "");
      if (ip === undefined || !isReady(endpoint)) continue;
      const hostname = endpoint.hostname ?? ip.replaceAll(/[.:]/g, "-");
      found.push({ ip, hostname, ports: slice.ports ?? [] });
    }
  }
  return found;
}

function collectReverse(index: ClusterIndex, domain: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const entry of index.values()) {
    const [namespace, service] = entry.key.split("/");
    const base = `${service}.${namespace}.svc.${domain}`;
    if (entry.service.spec?.type === "ExternalName") continue;
    if (isHeadless(entry)) {
      for (const { ip, hostname } of endpointsOf(entry)) if (!found.has(ip)) found.set(ip, `${hostname}.${base}`);
    } else {
      for (const ip of addressesOf(entry)) found.set(ip, base);
    }
  }
  return found;
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for. */
function addressOfReverse(name: string): string | undefined {
  if (name.endsWith(".in-addr.arpa")) {
    return canonicalAddress(name.slice(0, -".in-addr.arpa".length).split(".").reverse().join("."));
  }
  if (!name.endsWith(".ip6.arpa")) return undefined;
  const nibbles = name.slice(0, -".ip6.arpa".length).split(".").reverse();
  if (nibbles.length !== 32 || nibbles.some((one) => !/^[0-9a-f]$/.test(one))) return undefined;
  return canonicalAddress(nibbles.join("").replaceAll(/(.{4})(?=.)/g, "$1:"));
}

function addressRecord(name: string, ip: string): DnsRecord {
  return { type: ip.includes(":") ? "AAAA" : "A", name, data: ip };
}

function protocolOnly(below: readonly string[]): boolean {
  return below.every((label) => label.startsWith("_"));
}

function protocolOf(protocol: string | undefined): string {
  return (protocol ?? "TCP").toLowerCase();
}

// dns-packet writes what it is given, so nothing goes to it that is no name.
function isName(text: string): boolean {
  return (
    text.length > 0 && text.length <= 253 && text.split(".").every((label) => label.length > 0 && label.length <= 63)
  );
}
