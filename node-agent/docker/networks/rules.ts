// The node's nft table for container networks, whole each time: ways out, published ports, walls between networks. Pure.
import type { PublishedPort } from "../containers/record.ts";
import type { NetworkRecord } from "./record.ts";

export interface Published {
  /** The container's address. */
  readonly ip: string;
  readonly ports: readonly PublishedPort[];
}

/** `up`: networks whose links exist. */
export function rulesText(table: string, up: readonly NetworkRecord[], published: readonly Published[]): string {
  const bridges = up.filter(({ driver }) => driver === "bridge");
  const targets = published.flatMap(({ ip, ports }) =>
    ports.map((port) => ({ ...port, target: `${ip} . ${port.containerPort}` })),
  );
  const anywhere = targets.filter(({ hostIp }) => hostIp === "0.0.0.0");
  const bound = targets.filter(({ hostIp }) => hostIp !== "0.0.0.0");
  const lines = [
    `add table ip ${table}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    "map ports { type inet_proto . inet_service : ipv4_addr . inet_service;",
    elements(anywhere.map(({ protocol, hostPort, target }) => `${protocol} . ${hostPort} : ${target}`)),
    "}",
    "map bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;",
    elements(
      bound.map(({ hostIp, protocol, hostPort, target }) => `${hostIp} . ${protocol} . ${hostPort} : ${target}`),
    ),
    "}",
    "chain publish {",
    "dnat ip to ip daddr . meta l4proto . th dport map @bound",
    "dnat ip to meta l4proto . th dport map @ports",
    "}",
    "chain prerouting { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump publish; }",
    "chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish; }",
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    ...bridges.flatMap(leavingRules),
    "}",
    // The kernel lets the node's loopback addresses onto these links, for published ports; from a link none may come.
    "chain loopback {",
    "type filter hook prerouting priority raw; policy accept;",
    ...bridges.map(({ link }) => `iifname "${link}" ip daddr 127.0.0.0/8 drop`),
    "}",
    "chain forward {",
    "type filter hook forward priority filter; policy accept;",
    ...bridges.flatMap(forwardRules),
    "}",
    "}",
    "",
  ];
  return lines.filter((line) => line !== "").join("\n");
}

function leavingRules({ link, subnet, masquerade, internal }: NetworkRecord): readonly string[] {
  return [
    ...(masquerade && !internal ? [`ip saddr ${subnet} oifname != "${link}" masquerade`] : []),
    // Through a port of the node and back into the same network: the answer has to come back through the node, too.
    `oifname "${link}" ip saddr ${subnet} ct status dnat masquerade`,
    `oifname "${link}" ip saddr 127.0.0.0/8 masquerade`,
  ];
}

// From outside come answers, and what goes to published ports.
function forwardRules({ link, internal }: NetworkRecord): readonly string[] {
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
