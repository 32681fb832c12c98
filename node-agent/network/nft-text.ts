// The node's nft table as text for `nft -f -`: its fixed part, and changes of its maps. Pure.
import { type Address, formatAddress, formatRange, outerRanges, type Range } from "./addresses.ts";
import type { RuleChange } from "./rule-book.ts";
import {
  chainName,
  firstSlot,
  type GuardChain,
  type MapName,
  masqueradeMark,
  type PickChain,
  type RuleElement,
} from "./service-rules.ts";

export interface TableOptions {
  readonly table: string;
  readonly bridgeName: string;
  readonly podRanges: readonly Range[];
  /** The node's own addresses in its pod ranges. */
  readonly gateways: readonly Address[];
  readonly clusterRanges: readonly Range[];
  readonly serviceRange: Range;
  readonly dnsAddress: Address;
}

/** Clients that are remembered at a time; more choose anew with every connection. */
const affinityEntriesMax = 65_536;

export function affinityMap(family: 4 | 6): string {
  return `affinity${family}`;
}

/** The statement that brings back which client had which endpoint, from nft's listing of the map; "" for none. */
export function affinityText(table: string, family: 4 | 6, listing: string): string {
  const elements = /elements = \{([^}]*)\}/.exec(listing)?.[1]?.trim() ?? "";
  return elements === "" ? "" : `add element inet ${table} ${affinityMap(family)} { ${elements} }\n`;
}

/** Elements per statement: nft reads a statement as a whole, and messages to the kernel have a bounded size. */
const elementsPerStatementMax = 4096;

/** The whole table in one transaction: what was there before is gone when this has been applied. Also names the chains it makes. */
export function tableText(
  options: TableOptions,
  elements: readonly RuleElement[],
): { readonly text: string; readonly chains: Set<string> } {
  const chains = new Set<string>();
  const lines = [
    `add table inet ${options.table}`,
    `delete table inet ${options.table}`,
    `table inet ${options.table} {`,
    ...([4, 6] as const).flatMap(mapLines),
    ...serviceChains,
    ...loopbackLines(options),
    ...postroutingLines(options),
    ...filterLines(options),
    "}",
    changeText(options.table, { remove: [], add: elements }, chains),
  ];
  return { text: lines.join("\n"), chains };
}

/** Statements for a change; chains not in `chains` are made and added to it. */
export function changeText(table: string, change: RuleChange, chains: Set<string>): string {
  const lines: string[] = [];
  for (const { chain } of change.add) {
    if (chain === undefined || chains.has(chainName(chain))) continue;
    chains.add(chainName(chain));
    // Two statements, as nft 1.0 does not look for the map that a rule inside `add chain` names.
    lines.push(`add chain inet ${table} ${chainName(chain)}`);
    for (const rule of "ranges" in chain ? [guardRule(chain)] : pickRules(chain))
      lines.push(`add rule inet ${table} ${chainName(chain)} ${rule}`);
  }
  lines.push(...elementLines("delete", table, change.remove, ({ key }) => key));
  lines.push(...elementLines("add", table, change.add, ({ key, value }) => (value === "" ? key : `${key} : ${value}`)));
  return `${lines.join("\n")}\n`;
}

function mapLines(family: 4 | 6): readonly string[] {
  const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
  return [
    `map guards${family} { type ${type} . inet_proto . inet_service : verdict; }`,
    `map services${family} { type ${type} . inet_proto . inet_service : verdict; }`,
    `map endpoints${family} { type ${type} . inet_proto . inet_service . mark : ${type} . inet_service; }`,
    `map slots${family} { type ${type} . inet_proto . inet_service . mark : mark; }`,
    `map nodeports${family} { type inet_proto . inet_service : verdict; }`,
    `map nodeport-endpoints${family} { type inet_proto . inet_service . mark : ${type} . inet_service; }`,
    `map nodeport-slots${family} { type inet_proto . inet_service . mark : mark; }`,
    `map ${affinityMap(family)} { type ${type} . ${type} . inet_proto . inet_service : mark; flags dynamic,timeout; size ${affinityEntriesMax}; }`,
    `map host-ports${family} { type inet_proto . inet_service : ${type} . inet_service; }`,
    `map bound-ports${family} { type ${type} . inet_proto . inet_service : ${type} . inet_service; }`,
    `set hairpins${family} { type ${type} . ${type}; }`,
  ];
}

const serviceChains: readonly string[] = [
  "chain host-ports {",
  ...[
    "dnat ip to ip daddr . meta l4proto . th dport map @bound-ports4",
    "dnat ip to meta l4proto . th dport map @host-ports4",
  ],
  "ip6 daddr ::1 return",
  ...[
    "dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound-ports6",
    "dnat ip6 to meta l4proto . th dport map @host-ports6",
  ],
  "}",
  "chain services {",
  "ip daddr . meta l4proto . th dport vmap @guards4",
  "ip6 daddr . meta l4proto . th dport vmap @guards6",
  "ip daddr . meta l4proto . th dport vmap @services4",
  "ip6 daddr . meta l4proto . th dport vmap @services6",
  "fib daddr type local meta l4proto { tcp, udp, sctp } jump host-ports",
  "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @nodeports4",
  "fib daddr type local ip6 daddr != ::1 meta l4proto . th dport vmap @nodeports6",
  "}",
  "chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }",
  "chain output { type nat hook output priority -100; policy accept; jump services; }",
];

// Pods' links may carry the node's loopback addresses, for host ports asked for on the node itself; from a pod none may come.
function loopbackLines({ bridgeName }: TableOptions): readonly string[] {
  return [
    "chain loopback {",
    "type filter hook prerouting priority raw; policy accept;",
    `iifname "${bridgeName}" ip daddr 127.0.0.0/8 drop`,
    "}",
  ];
}

function postroutingLines({ podRanges, gateways, clusterRanges, bridgeName }: TableOptions): readonly string[] {
  const rules = gateways.flatMap((gateway) => {
    const { family } = gateway;
    const [ip, any] = family === 4 ? ["ip", "ip"] : ["ip6", "ip6"];
    const source = `snat ${any} to ${formatAddress(gateway)}`;
    const pods = rangeSet(podRanges, family);
    const cluster = rangeSet([...clusterRanges, ...podRanges], family);
    return [
      `${ip} saddr . ${ip} daddr @hairpins${family} ${source}`,
      `${ip} daddr ${cluster} meta mark & ${masqueradeMark} == ${masqueradeMark} ${source}`,
      // A process of the node bound to another of its addresses: pods answer the way that leads back.
      `${ip} daddr ${cluster} ${ip} saddr != ${cluster} fib saddr type local ct status dnat ${source}`,
      `${ip} saddr ${pods} ${ip} daddr != ${cluster} oifname != "${bridgeName}" masquerade`,
    ];
  });
  return [
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    ...rules,
    `meta mark & ${masqueradeMark} == ${masqueradeMark} masquerade`,
    "}",
  ];
}

// After translation no packet is on its way to the services' range any more, so what still is has nobody to answer it.
function filterLines({ serviceRange, dnsAddress, bridgeName }: TableOptions): readonly string[] {
  const ip = serviceRange.family === 4 ? "ip" : "ip6";
  const unserved = `${ip} daddr ${formatRange(serviceRange)} ${ip} daddr != ${formatAddress(dnsAddress)} jump refuse`;
  return [
    "chain refuse {",
    "meta l4proto tcp reject with tcp reset",
    "reject",
    "}",
    "chain forward {",
    "type filter hook forward priority filter; policy accept;",
    unserved,
    "}",
    "chain output-filter {",
    "type filter hook output priority filter; policy accept;",
    unserved,
    // Pods must keep to the way through the node. For IPv4 a setting says so.
    `oifname "${bridgeName}" icmpv6 type nd-redirect drop`,
    "}",
  ];
}

// The slot goes through the packet's mark: nft 1.0 cannot name a random number's type in a map.
function pickRules(chain: PickChain): readonly string[] {
  const ip = chain.family === 4 ? "ip" : "ip6";
  const isByAddress = chain.entry === "cluster" || chain.entry === "external";
  const port = "meta l4proto . th dport";
  const service = isByAddress ? `${ip} daddr . ${port}` : port;
  const maps = isByAddress ? "" : "nodeport-";
  const slot = `meta mark set numgen random mod ${chain.count} offset ${firstSlot(chain.entry)}`;
  const toEndpoint = `dnat ${ip} to ${service} . meta mark map @${maps}endpoints${chain.family}`;
  if (chain.stickySeconds === undefined) return [`${protocols} ${slot} ${toEndpoint}`];
  const client = `${ip} saddr . ${ip} daddr . ${port}`;
  const affinity = `@${affinityMap(chain.family)}`;
  const recall = `meta mark set ${client} map ${affinity}`;
  const remember = `{ ${client} timeout ${chain.stickySeconds}s : meta mark }`;
  // A rule ends where a map has no such key.
  return [
    `${recall} update ${affinity} ${remember} ${toEndpoint}`,
    `${recall} delete ${affinity} { ${client} : meta mark }`,
    `${slot} meta mark set ${service} . meta mark map @${maps}slots${chain.family}`,
    `add ${affinity} ${remember}`,
    // Of two first connections at a time, one was remembered.
    recall,
    toEndpoint,
  ].map((rule) => `${protocols} ${rule}`);
}

const protocols = "meta l4proto { tcp, udp, sctp }";

// Who is let on goes back to the chain that jumped here.
function guardRule({ family, ranges }: GuardChain): string {
  const ip = family === 4 ? "ip" : "ip6";
  return ranges.length === 0 ? "drop" : `${ip} saddr != { ${ranges.join(", ")} } drop`;
}

function elementLines(
  verb: "add" | "delete",
  table: string,
  elements: readonly RuleElement[],
  text: (element: RuleElement) => string,
): readonly string[] {
  const byMap = new Map<string, string[]>();
  for (const element of elements) {
    const name = `${element.map satisfies MapName}${element.family}`;
    const list = byMap.get(name);
    if (list === undefined) byMap.set(name, [text(element)]);
    else list.push(text(element));
  }
  // Endpoints before the services that lead to them is not needed, one transaction applies all; the order only makes texts stable.
  return [...byMap].flatMap(([name, texts]) => {
    const statements: string[] = [];
    for (let start = 0; start < texts.length; start += elementsPerStatementMax) {
      const part = texts.slice(start, start + elementsPerStatementMax).join(", ");
      statements.push(`${verb} element inet ${table} ${name} { ${part} }`);
    }
    return statements;
  });
}

function rangeSet(ranges: readonly Range[], family: 4 | 6): string {
  return `{ ${outerRanges(ranges, family).join(", ")} }`;
}
