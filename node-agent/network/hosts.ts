// Virtual hosts for a cluster on one machine: a network namespace each, on a bridge that the machine reaches them over.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type Address,
  contains,
  formatAddress,
  formatRange,
  macOf,
  nthAddress,
  parseRange,
  type Range,
} from "./addresses.ts";
import { borrowForwarding, lockShared, returnForwarding } from "./forwarding.ts";
import { launcherCommand } from "./launcher-command.ts";
import {
  addAddress,
  addRoute,
  createBridge,
  createVeth,
  deleteLinks,
  type LinkAddress,
  type LinkState,
  listAddresses,
  listLinks,
  podLinkIndex,
  readAddress,
  readLink,
  setLink,
} from "./links.ts";
import { errno, type Launcher, type NamespaceStep, type NetlinkStep, perform } from "./netlink.ts";
import { runNft } from "./nft.ts";

export interface HostsOptions {
  /** Lower case letters, digits and "-"; every link, rule and namespace carries it. */
  readonly cluster: string;
  /** Names of the hosts, in the order of their addresses. */
  readonly hosts: readonly string[];
  /** The cluster's own directory for things that vanish with it; namespaces are bound below it. */
  readonly runDir: string;
  readonly launcherPath: string;
  /** A free range with a prefix of at most 24; else one of 192.168.200.0/24 to 192.168.254.0/24 is chosen. */
  readonly subnet?: string;
  /** Taken where it is free: addresses of an earlier run, which kubeconfigs and URLs name. */
  readonly preferredSubnet?: string;
  readonly nft?: string;
  /** Shared by all clusters of the machine. */
  readonly sharedRunDir?: string;
}

export interface Host {
  readonly name: string;
  readonly address: string;
  readonly networkPath: string;
}

export interface Hosts extends AsyncDisposable {
  /** The machine's own address on the bridge: there the hosts reach it, and it is their way out. */
  readonly gateway: string;
  readonly subnet: string;
  readonly list: readonly Host[];
  /** Cuts a host's cable, so to speak. */
  cut(name: string): Promise<void>;
  restore(name: string): Promise<void>;
}

const clusterPattern = /^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$/;
const hostPattern = /^[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?$/;
const firstHostIndex = 11;
const hostsMax = 200;
const mtu = 1500;
const subnets = { first: 200, count: 55 } as const;

/** Makes the hosts anew; what a killed run of the same cluster left is removed first. Dispose removes them. */
export async function openHosts(options: HostsOptions): Promise<Hosts> {
  for (const name of options.hosts) {
    if (!hostPattern.test(name)) throw new Error(`host name ${JSON.stringify(name)} must match ${hostPattern}`);
  }
  if (options.hosts.length > hostsMax) throw new Error(`at most ${hostsMax} hosts, got ${options.hosts.length}`);
  await removeHosts(options);
  const launcher = launcherCommand(options.launcherPath);
  try {
    const { range, bridgeIndex } = await openBridge(launcher, options);
    const list = options.hosts.map((name, i): Host => {
      const address = formatAddress(nthAddress(range, firstHostIndex + i));
      return { name, address, networkPath: join(namespacesDir(options), name) };
    });
    await mkdir(namespacesDir(options), { recursive: true, mode: 0o700 });
    const host = { cluster: options.cluster, range, bridgeIndex };
    await perform(
      launcher,
      list.flatMap((one, i) => hostSteps(one, { ...host, number: firstHostIndex + i })),
    );
    await runNft(options.nft ?? "nft", masqueradeText(options.cluster, range));
    await borrowForwarding(sharedRunDir(options), bridgeNameOf(options.cluster));
    return openedHosts(options, launcher, { range, list });
  } catch (error) {
    await removeHosts(options);
    throw error;
  }
}

/** Removes what exists of the cluster's hosts, whoever made it; silent when there is nothing. Processes in them lose their network. */
export async function removeHosts(options: Omit<HostsOptions, "hosts">): Promise<void> {
  const { cluster } = options;
  if (!clusterPattern.test(cluster))
    throw new Error(`cluster name ${JSON.stringify(cluster)} must match ${clusterPattern}`);
  const launcher = launcherCommand(options.launcherPath);
  const { links } = await observe(launcher);
  const bridge = bridgeNameOf(cluster);
  const bridgeIndex = links.find(({ name }) => name === bridge)?.index;
  const isOurs = ({ name, alias, master }: LinkState) =>
    name === bridge || alias === aliasOf(cluster) || (master !== undefined && master === bridgeIndex);
  await perform(launcher, deleteLinks(links.filter(isOurs).map(({ name }) => name)));
  const names = await readdir(namespacesDir(options)).catch(() => []);
  const paths = names.map((name) => join(namespacesDir(options), name));
  await perform(
    launcher,
    paths.map((netns) => ({ what: `remove network namespace ${netns}`, namespace: "drop", netns })),
  );
  // Silent when another holds something there that is none of ours.
  await rmdir(namespacesDir(options)).catch(() => {});
  const table = tableOf(cluster);
  await runNft(options.nft ?? "nft", `add table ip ${table}\ndelete table ip ${table}\n`);
  await returnForwarding(sharedRunDir(options), bridge);
}

function openedHosts(
  options: HostsOptions,
  launcher: Launcher,
  made: { readonly range: Range; readonly list: readonly Host[] },
): Hosts {
  const setUp = async (name: string, up: boolean) => {
    if (!made.list.some((host) => host.name === name)) throw new Error(`no host ${name} in cluster ${options.cluster}`);
    const link = hostLinkOf(options.cluster, name);
    await perform(launcher, [{ what: `set link ${link} ${up ? "up" : "down"}`, message: setLink(link, { up }) }]);
  };
  return {
    gateway: formatAddress(nthAddress(made.range, 1)),
    subnet: formatRange(made.range),
    list: made.list,
    cut: (name) => setUp(name, false),
    restore: (name) => setUp(name, true),
    [Symbol.asyncDispose]: () => removeHosts(options),
  };
}

async function openBridge(
  launcher: Launcher,
  options: HostsOptions,
): Promise<{ readonly range: Range; readonly bridgeIndex: number }> {
  const name = bridgeNameOf(options.cluster);
  const mac = macOf({ family: 4, value: BigInt(`0x${hashOf(options.cluster).slice(0, 8)}`) });
  const alias = aliasOf(options.cluster);
  const made = await perform(launcher, [
    { what: `create bridge ${name}`, message: createBridge(name, mac, mtu) },
    { what: `name ${name}'s owner`, message: setLink(name, { alias, up: true }) },
    listLinks(),
  ]);
  // Between the look at what is taken and the address on our bridge, no other cluster may choose.
  await using _lock = await lockShared(sharedRunDir(options));
  const bridgeIndex = made[2]?.answers.map(readLink).find((one) => one.name === name)?.index;
  if (bridgeIndex === undefined) throw new Error(`bridge ${name} went away`);
  for (const range of candidates(options)) {
    if (options.subnet === undefined && (await overlaps(launcher, range, bridgeIndex))) continue;
    const own: LinkAddress = { index: bridgeIndex, address: nthAddress(range, 1), prefix: range.prefix };
    await perform(launcher, [{ what: `add address to ${name}`, message: addAddress(own) }]);
    return { range, bridgeIndex };
  }
  throw new Error("no free range among 192.168.200.0/24 to 192.168.254.0/24; give one as subnet");
}

// Each cluster begins elsewhere, so that two that start together do not want the same, and one finds its own again.
function* candidates({ cluster, subnet, preferredSubnet }: HostsOptions): Generator<Range> {
  if (subnet !== undefined) {
    const range = parseRange(subnet);
    if (range === undefined || range.family !== 4 || range.prefix > 24) {
      throw new Error(`subnet ${JSON.stringify(subnet)} must be an IPv4 range such as 192.168.250.0/24`);
    }
    yield range;
    return;
  }
  const preferred = preferredSubnet === undefined ? undefined : parseRange(preferredSubnet);
  if (preferred?.family === 4 && preferred.prefix <= 24) yield preferred;
  const start = Number.parseInt(hashOf(cluster).slice(0, 8), 16);
  for (let i = 0; i < subnets.count; i++) {
    const range = parseRange(`192.168.${subnets.first + ((start + i) % subnets.count)}.0/24`);
    if (range !== undefined) yield range;
  }
}

async function overlaps(launcher: Launcher, range: Range, exceptIndex: number): Promise<boolean> {
  const { addresses } = await observe(launcher);
  const others = addresses.filter(({ index }) => index !== exceptIndex);
  if (others.some((one) => contains(range, one.address) || contains(rangeOf(one), nthAddress(range, 1)))) return true;
  return (await routedRanges()).some(
    (other) => contains(range, nthAddress(other, 0)) || contains(other, nthAddress(range, 1)),
  );
}

// Destinations that the machine has a route to, the default aside.
async function routedRanges(): Promise<readonly Range[]> {
  const lines = (await readFile("/proc/net/route", "utf8")).trim().split("\n").slice(1);
  return lines.flatMap((line) => {
    const [, to = "", , , , , , mask = ""] = line.split("\t");
    const prefix = [...Number.parseInt(mask, 16).toString(2)].filter((bit) => bit === "1").length;
    const base = Buffer.from(to, "hex").reverse().readUInt32BE();
    return prefix === 0 ? [] : [{ family: 4 as const, base: BigInt(base), prefix }];
  });
}

function rangeOf({ address, prefix }: LinkAddress): Range {
  return parseRange(`${formatAddress(address)}/${prefix}`) ?? { family: address.family, base: address.value, prefix };
}

interface HostContext {
  readonly cluster: string;
  readonly range: Range;
  readonly bridgeIndex: number;
  readonly number: number;
}

function hostSteps(
  host: Host,
  { cluster, range, bridgeIndex, number }: HostContext,
): readonly (NetlinkStep | NamespaceStep)[] {
  const netns = host.networkPath;
  const address: Address = nthAddress(range, number);
  const link = hostLinkOf(cluster, host.name);
  const veth = { name: link, masterIndex: bridgeIndex, mtu, peer: { name: "eth0", mac: macOf(address) } };
  const index = podLinkIndex;
  const everything: Range = { family: 4, base: 0n, prefix: 0 };
  return [
    { what: `make network namespace ${netns}`, namespace: "make", netns },
    { what: `create link ${link}`, message: createVeth(veth), lastIsFdOf: netns },
    { what: `name ${link}'s owner`, message: setLink(link, { alias: aliasOf(cluster) }) },
    { what: "set lo up", message: setLink(1, { up: true }), netns },
    { what: "set eth0 up", message: setLink(podLinkIndex, { up: true }), netns },
    { what: "add address", message: addAddress({ index, address, prefix: range.prefix }), netns },
    { what: "add default route", message: addRoute({ to: everything, index, via: nthAddress(range, 1) }), netns },
  ];
}

function masqueradeText(cluster: string, range: Range): string {
  const table = tableOf(cluster);
  return `add table ip ${table}
delete table ip ${table}
table ip ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${formatRange(range)} ip daddr != ${formatRange(range)} masquerade
  }
}
`;
}

async function observe(
  launcher: Launcher,
): Promise<{ readonly links: readonly LinkState[]; readonly addresses: readonly LinkAddress[] }> {
  const [links, addresses] = await perform(launcher, [listLinks(), { ...listAddresses(), accept: [errno.ENOENT] }]);
  return {
    links: links?.answers.map(readLink) ?? [],
    addresses: addresses?.answers.flatMap((answer) => readAddress(answer) ?? []) ?? [],
  };
}

function bridgeNameOf(cluster: string): string {
  return cluster.length <= 12 ? `nb-${cluster}` : `nb-${hashOf(cluster).slice(0, 12)}`;
}

export function hostLinkOf(cluster: string, host: string): string {
  return `nh${hashOf(`${cluster}/${host}`).slice(0, 11)}`;
}

function tableOf(cluster: string): string {
  return `naru-hosts-${cluster}`;
}

function aliasOf(cluster: string): string {
  return `naru-hosts ${cluster}`;
}

function namespacesDir({ runDir }: Pick<HostsOptions, "runDir">): string {
  return join(runDir, "netns");
}

function sharedRunDir({ sharedRunDir: dir }: Pick<HostsOptions, "sharedRunDir">): string {
  return dir ?? "/run/naru";
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
