// The node's own links: the bridge that its pods hang on, and its end of the vxlan to other nodes. Made, adopted, removed.
import { join } from "node:path";
import { type Address, formatAddress, macOf, nthAddress, parseAddress, parseRange, type Range } from "./addresses.ts";
import {
  addAddress,
  addRoute,
  createBridge,
  createVxlan,
  deleteAddress,
  deleteLink,
  deleteLinks,
  type LinkAddress,
  type LinkState,
  listAddresses,
  listLinks,
  readAddress,
  readLink,
  setLink,
} from "./links.ts";
import { errno, type Launcher, type NetlinkStep, perform } from "./netlink.ts";
import { type Backend, noPeers, peerSteps, readPeers, type Underlay, vxlanMac } from "./peers.ts";
import { Sysctls } from "./sysctls.ts";

export interface NodeLinksOptions {
  readonly launcher: Launcher;
  readonly stateDir: string;
  /** Start of the links' names, at most 12 characters; also tells nodes of one network namespace apart. */
  readonly prefix: string;
  readonly backend: Backend;
  readonly vni: number;
  readonly vxlanPort: number;
  readonly serviceRange: Range;
  readonly dnsAddress: Address;
}

export interface NodeRanges {
  readonly nodeIp: string;
  readonly podCidrs: readonly string[];
}

export interface NodeLinksState {
  readonly bridgeName: string;
  readonly bridgeIndex: number;
  readonly mtu: number;
  readonly underlay: Underlay;
  /** All links as they were before, for adoption. */
  readonly links: readonly LinkState[];
}

const vxlanOverheadBytes = { 4: 50, 6: 70 } as const;

export function bridgeNameOf(prefix: string): string {
  return `${prefix}0`;
}

function vxlanNameOf(prefix: string): string {
  return `${prefix}-vx`;
}

/** Makes or adopts bridge and vxlan, with addresses, the route to services, and forwarding. Can be called again with other ranges. */
export async function ensureNodeLinks(options: NodeLinksOptions, ranges: NodeRanges): Promise<NodeLinksState> {
  const { launcher, prefix } = options;
  const nodeIp = parseAddress(ranges.nodeIp);
  if (nodeIp === undefined) throw new Error(`the node's address ${JSON.stringify(ranges.nodeIp)} is no IP address`);
  const podRanges = ranges.podCidrs.map((text) => {
    const range = parseRange(text);
    if (range === undefined) throw new Error(`the node's pod range ${JSON.stringify(text)} is none`);
    return range;
  });
  const before = await observe(launcher);
  const home = before.addresses.find(
    (one) => one.address.value === nodeIp.value && one.address.family === nodeIp.family,
  );
  if (home === undefined) throw new Error(`no link of this node has its address ${ranges.nodeIp}`);
  const uplink = before.links.find(({ index }) => index === home.index);
  if (uplink === undefined) throw new Error(`the link with the node's address ${ranges.nodeIp} went away`);

  const withVxlan = options.backend !== "host-gw";
  const mtu = uplink.mtu - (withVxlan ? vxlanOverheadBytes[nodeIp.family] : 0);
  const gateways = podRanges.map((range) => nthAddress(range, 1));
  const bridgeName = bridgeNameOf(prefix);
  const vxlanName = vxlanNameOf(prefix);
  const bridgeMac = macOf(gateways[0] ?? nodeIp);
  const isThere = (name: string) => before.links.some((one) => one.name === name);
  const steps: NetlinkStep[] = [];
  if (!isThere(bridgeName)) {
    steps.push({ what: `create bridge ${bridgeName}`, message: createBridge(bridgeName, bridgeMac, mtu) });
  }
  // Its settings cannot be read back cheaply, and an earlier life may have had others; its entries are made again in a moment.
  if (isThere(vxlanName)) steps.push({ what: `delete link ${vxlanName}`, message: deleteLink(vxlanName) });
  if (withVxlan) {
    const vxlan = { name: vxlanName, mac: vxlanMac(nodeIp), mtu, vni: options.vni, port: options.vxlanPort };
    steps.push({ what: `create vxlan ${vxlanName}`, message: createVxlan({ ...vxlan, local: nodeIp }) });
  }
  await perform(launcher, steps);
  // Asking around for a second whether the bridge's own address is taken would keep it from finding its first pods.
  const hasIpv6 = podRanges.some(({ family }) => family === 6);
  if (hasIpv6) await new Sysctls(recordPath(options)).set({ [`ipv6/conf/${bridgeName}/accept_dad`]: "0" });
  const start = setLink(bridgeName, { up: true, mtu, mac: bridgeMac });
  await perform(launcher, [{ what: `set up ${bridgeName}`, message: start }]);

  const after = await observe(launcher);
  const indexOf = (name: string) => after.links.find((one) => one.name === name)?.index;
  const bridgeIndex = indexOf(bridgeName);
  if (bridgeIndex === undefined) throw new Error(`bridge ${bridgeName} went away`);
  await perform(launcher, addressSteps(options, { bridgeIndex, podRanges, gateways, addresses: after.addresses }));
  await setForwarding(options, [bridgeName, uplink.name, ...(withVxlan ? [vxlanName] : [])], podRanges);
  const nodeRange = parseRange(`${ranges.nodeIp}/${home.prefix}`);
  return {
    bridgeName,
    bridgeIndex,
    mtu,
    links: after.links,
    underlay: {
      backend: options.backend,
      nodeIp,
      nodeRange: nodeRange ?? { family: nodeIp.family, base: nodeIp.value, prefix: nodeIp.family === 4 ? 32 : 128 },
      linkIndex: uplink.index,
      vxlanIndex: withVxlan ? indexOf(vxlanName) : undefined,
      podRanges,
      gateways,
    },
  };
}

/** Bridge, vxlan, the pods' links, the routes: everything of this prefix, whoever made it. Silent about what is not there. */
export async function removeNodeLinks(
  options: Pick<NodeLinksOptions, "launcher" | "prefix" | "stateDir">,
): Promise<void> {
  const { launcher } = options;
  const { links } = await observe(launcher);
  const indexOf = (name: string) => links.find((one) => one.name === name)?.index;
  const bridgeIndex = indexOf(bridgeNameOf(options.prefix));
  if (bridgeIndex !== undefined) {
    const peers = await readPeers(launcher, { bridgeIndex, vxlanIndex: indexOf(vxlanNameOf(options.prefix)) });
    await perform(launcher, peerSteps(peers, noPeers));
    const pods = links.filter(({ master }) => master === bridgeIndex).map(({ name }) => name);
    await perform(launcher, deleteLinks(pods));
  }
  const own = [vxlanNameOf(options.prefix), bridgeNameOf(options.prefix)];
  await perform(launcher, deleteLinks(own));
  await new Sysctls(recordPath(options)).restore();
}

interface Observed {
  readonly links: readonly LinkState[];
  readonly addresses: readonly LinkAddress[];
}

async function observe(launcher: Launcher): Promise<Observed> {
  const [links, addresses] = await perform(launcher, [listLinks(), listAddresses()]);
  return {
    links: links?.answers.map(readLink) ?? [],
    addresses: addresses?.answers.flatMap((answer) => readAddress(answer) ?? []) ?? [],
  };
}

interface BridgeAddresses {
  readonly bridgeIndex: number;
  readonly podRanges: readonly Range[];
  readonly gateways: readonly Address[];
  readonly addresses: readonly LinkAddress[];
}

function addressSteps(options: NodeLinksOptions, bridge: BridgeAddresses): readonly NetlinkStep[] {
  const index = bridge.bridgeIndex;
  const dns = options.dnsAddress;
  const wanted: LinkAddress[] = [
    ...bridge.podRanges.flatMap((range, i) => {
      const address = bridge.gateways[i];
      return address === undefined ? [] : [{ index, address, prefix: range.prefix }];
    }),
    { index, address: dns, prefix: dns.family === 4 ? 32 : 128 },
  ];
  const keyOf = ({ address, prefix }: LinkAddress) => `${formatAddress(address)}/${prefix}`;
  const wantedKeys = new Set(wanted.map(keyOf));
  const surplus = bridge.addresses.filter(
    (one) => one.index === index && !wantedKeys.has(keyOf(one)) && !formatAddress(one.address).startsWith("fe80:"),
  );
  const source = bridge.gateways.find(({ family }) => family === options.serviceRange.family);
  const route = { to: options.serviceRange, index, ...(source === undefined ? {} : { source }) };
  return [
    ...surplus.map((one) => ({
      what: `delete address ${keyOf(one)}`,
      message: deleteAddress(one),
      accept: [errno.EADDRNOTAVAIL],
    })),
    ...wanted.map((one) => ({ what: `add address ${keyOf(one)}`, message: addAddress(one) })),
    // Where a service's address would lead does not matter, its packets are redirected on the way; but there must be a way.
    { what: "add route to services", message: addRoute(route) },
  ];
}

async function setForwarding(
  options: NodeLinksOptions,
  links: readonly string[],
  podRanges: readonly Range[],
): Promise<void> {
  const forwarding = Object.fromEntries(links.map((name) => [`ipv4/conf/${name}/forwarding`, "1"]));
  // Pods must keep to the way through the node. The kernel asks for both of these to be off; other links have their own on.
  const redirects = {
    "ipv4/conf/all/send_redirects": "0",
    [`ipv4/conf/${bridgeNameOf(options.prefix)}/send_redirects`]: "0",
    // Host ports answer on 127.0.0.1, too; the table keeps pods from other loopback addresses.
    [`ipv4/conf/${bridgeNameOf(options.prefix)}/route_localnet`]: "1",
  };
  // IPv6 has no forwarding per link.
  const ipv6 = podRanges.some(({ family }) => family === 6) ? { "ipv6/conf/all/forwarding": "1" } : {};
  await new Sysctls(recordPath(options)).set({ ...forwarding, ...redirects, ...ipv6 });
}

function recordPath({ stateDir }: Pick<NodeLinksOptions, "stateDir">): string {
  return join(stateDir, "sysctls.json");
}
