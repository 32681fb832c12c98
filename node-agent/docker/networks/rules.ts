// The node's nft table for container networks, whole each time: ways out, published ports, walls between networks. Pure.
import type { PublishedPort } from "../containers/record.ts";
import type { NetworkRecord } from "./record.ts";

export interface Published {
  /** The container's addresses. */
  readonly ip: string;
  readonly ipv6?: string | undefined;
  readonly ports: readonly PublishedPort[];
}

/** What differs between the families, and a network's link and range in one of them. */
interface Family {
  readonly name: "ip" | "ip6";
  readonly address: "ipv4_addr" | "ipv6_addr";
  readonly everywhere: string;
}
type Bridge = Pick<NetworkRecord, "link" | "masquerade" | "internal" | "subnet">;

const ipv4: Family = { name: "ip", address: "ipv4_addr", everywhere: "0.0.0.0" };
const ipv6: Family = { name: "ip6", address: "ipv6_addr", everywhere: "::" };

interface Target {
  readonly protocol: string;
  readonly hostIp: string;
  readonly hostPort: number;
  /** "172.17.0.2 . 80" */
  readonly target: string;
}

/** `up`: networks whose links exist. */
export function rulesText(table: string, up: readonly NetworkRecord[], published: readonly Published[]): string {
  const bridges = up.filter(({ driver }) => driver === "bridge");
  const bridges6 = bridges.flatMap((network) => (network.ipv6 === undefined ? [] : { ...network, ...network.ipv6 }));
  const lines = [
    ...familyRules(table, ipv4, bridges, published.flatMap(targets4)),
    // Of the other family only what is needed: a node may be without it.
    ...(bridges6.length === 0
      ? dropTable(table, ipv6)
      : familyRules(table, ipv6, bridges6, published.flatMap(targets6))),
    "",
  ];
  return lines.filter((line) => line !== "").join("\n");
}

function targets4({ ip, ports }: Published): readonly Target[] {
  return ports
    .filter(({ hostIp }) => !hostIp.includes(":"))
    .map((port) => ({ ...port, target: `${ip} . ${port.containerPort}` }));
}

function targets6({ ipv6, ports }: Published): readonly Target[] {
  if (ipv6 === undefined) return [];
  return ports
    .filter(({ hostIp, alsoIpv6 }) => hostIp.includes(":") || alsoIpv6 === true)
    .map((port) => ({
      ...port,
      hostIp: port.alsoIpv6 === true ? "::" : port.hostIp,
      target: `${ipv6} . ${port.containerPort}`,
    }));
}

function dropTable(table: string, { name }: Family): readonly string[] {
  return [`add table ${name} ${table}`, `delete table ${name} ${table}`];
}

function familyRules(
  table: string,
  family: Family,
  bridges: readonly Bridge[],
  targets: readonly Target[],
): readonly string[] {
  const { name, address, everywhere } = family;
  const anywhere = targets.filter(({ hostIp }) => hostIp === everywhere);
  const bound = targets.filter(({ hostIp }) => hostIp !== everywhere);
  return [
    ...dropTable(table, family),
    `table ${name} ${table} {`,
    `map ports { type inet_proto . inet_service : ${address} . inet_service;`,
    elements(anywhere.map(({ protocol, hostPort, target }) => `${protocol} . ${hostPort} : ${target}`)),
    "}",
    `map bound { type ${address} . inet_proto . inet_service : ${address} . inet_service;`,
    elements(
      bound.map(({ hostIp, protocol, hostPort, target }) => `${hostIp} . ${protocol} . ${hostPort} : ${target}`),
    ),
    "}",
    "chain publish {",
    // Nothing of IPv6's loopback may leave it.
    ...(family === ipv6 ? ["ip6 daddr ::1 return"] : []),
    `dnat ${name} to ${name} daddr . meta l4proto . th dport map @bound`,
    `dnat ${name} to meta l4proto . th dport map @ports`,
    "}",
    "chain prerouting { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump publish; }",
    "chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish; }",
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    ...bridges.flatMap((bridge) => leavingRules(family, bridge)),
    "}",
    ...(family === ipv4 ? loopbackRules(bridges) : []),
    "chain forward {",
    "type filter hook forward priority filter; policy accept;",
    ...bridges.flatMap(forwardRules),
    "}",
    "}",
  ];
}

// The kernel lets the node's loopback addresses onto these links, for published ports; from a link none may come.
function loopbackRules(bridges: readonly Bridge[]): readonly string[] {
  return [
    "chain loopback {",
    "type filter hook prerouting priority raw; policy accept;",
    ...bridges.map(({ link }) => `iifname "${link}" ip daddr 127.0.0.0/8 drop`),
    "}",
  ];
}

function leavingRules(family: Family, { link, subnet, masquerade, internal }: Bridge): readonly string[] {
  const { name } = family;
  return [
    ...(masquerade && !internal ? [`${name} saddr ${subnet} oifname != "${link}" masquerade`] : []),
    // Through a port of the node and back into the same network: the answer has to come back through the node, too.
    `oifname "${link}" ${name} saddr ${subnet} ct status dnat masquerade`,
    ...(family === ipv4 ? [`oifname "${link}" ip saddr 127.0.0.0/8 masquerade`] : []),
  ];
}

// From outside come answers, and what goes to published ports.
function forwardRules({ link, internal }: Bridge): readonly string[] {
  return [
    ...(internal ? [`iifname "${link}" oifname != "${link}" drop`, `oifname "${link}" iifname != "${link}" drop`] : []),
    `oifname "${link}" iifname "${link}" accept`,
    `oifname "${link}" ct state established,related accept`,
    `oifname "${link}" ct status dnat accept`,
    `oifname "${link}" drop`,
  ];
}

function elements(texts: readonly string[]): string {
  return texts.length === 0 ? "" : `elements = { ${texts.join(", ")} }`;
}
