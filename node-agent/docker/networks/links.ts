// The kernel's side of a network: its bridge, and each container's pair of links.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Address, macOf, parseAddress, parseRange, type Range } from "../../network/addresses.ts";
import {
  addAddress,
  addRoute,
  createBridge,
  createVeth,
  deleteLinks,
  deleteRoute,
  type LinkState,
  listLinks,
  readLink,
  setHairpin,
  setLink,
} from "../../network/links.ts";
import { errno, type Launcher, NetlinkError, type NetlinkStep, perform } from "../../network/netlink.ts";
import type { NetworkRecord, Subnet } from "./record.ts";

/** eth0 has this index in every container, eth1 the next. */
const firstLinkIndex = 1000;

export interface Pair {
  readonly hostLink: string;
  /** 0 is eth0. */
  readonly number: number;
  readonly netns: string;
  readonly ip: string;
  /** "" without. */
  readonly ipv6: string;
  readonly mac: Buffer;
  /** The way out of the container leads over this network. */
  readonly isDefault: boolean;
}

/** Makes or adopts the bridge; its index. */
export async function ensureBridge(launcher: Launcher, network: NetworkRecord): Promise<number> {
  const gateway = mustParse(network.gateway);
  const before = await findLink(launcher, network.link);
  const bridge = createBridge(network.link, macOf(gateway, 0x02, 0x42), network.mtu);
  await perform(launcher, [
    ...(before === undefined
      ? [{ what: `create bridge ${network.link}`, message: bridge, accept: [errno.EEXIST] }]
      : []),
    { what: `set up ${network.link}`, message: setLink(network.link, { up: true, mtu: network.mtu }) },
  ]);
  const index = before ?? (await findLink(launcher, network.link));
  if (index === undefined) throw new Error(`bridge ${network.link} went away`);
  const prefix = prefixOf(network);
  const ipv6 = network.ipv6 === undefined ? [] : [network.ipv6];
  await perform(launcher, [
    { what: "add gateway", message: addAddress({ index, address: gateway, prefix }) },
    ...ipv6.map((subnet) => ({
      what: "add IPv6 gateway",
      message: addAddress({ index, address: mustParse(subnet.gateway), prefix: prefixOf(subnet) }),
    })),
  ]);
  return index;
}

export async function removeBridge(launcher: Launcher, link: string): Promise<void> {
  await perform(launcher, deleteLinks([link]));
}

export async function makePair(
  launcher: Launcher,
  network: NetworkRecord,
  bridgeIndex: number,
  pair: Pair,
): Promise<void> {
  const steps = pairSteps(network, bridgeIndex, pair);
  try {
    await perform(launcher, steps);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== errno.EEXIST) throw error;
    // What an agent left when it was killed.
    await perform(launcher, deleteLinks([pair.hostLink]));
    await perform(launcher, steps);
  }
}

export async function removePair(launcher: Launcher, hostLink: string): Promise<void> {
  await perform(launcher, deleteLinks([hostLink]));
}

/** Makes the network the container's way out, or takes that from it. */
export async function setDefaultRoute(
  launcher: Launcher,
  netns: string,
  to: { readonly number: number; readonly gateways: readonly string[] } | undefined,
): Promise<void> {
  const steps: readonly NetlinkStep[] =
    to === undefined
      ? ([4, 6] as const).map((family) => ({
          what: "delete default route",
          message: deleteRoute({ to: everything(family), index: 0 }),
          netns,
          accept: [errno.ESRCH, errno.ENODEV],
        }))
      : defaultRoutes(netns, to.number, to.gateways);
  await perform(launcher, steps);
}

/** 14 characters of the 15 that a link's name may have. */
export function hostLinkName(containerId: string, networkId: string): string {
  return `vd${createHash("sha256").update(`${containerId}/${networkId}`).digest("hex").slice(0, 12)}`;
}

/** Links that lead out of the node. */
export function linksOut(): readonly string[] {
  const lines = readFileSync("/proc/net/route", "utf8").trim().split("\n").slice(1);
  const fields = lines.map((line) => line.split("\t"));
  return [...new Set(fields.flatMap(([link = "", destination]) => (destination === "00000000" ? [link] : [])))];
}

function pairSteps(network: NetworkRecord, masterIndex: number, pair: Pair): readonly NetlinkStep[] {
  const { hostLink, number, netns, mac } = pair;
  const index = firstLinkIndex + number;
  const peer = { name: `eth${number}`, mac, index };
  const veth = createVeth({ name: hostLink, masterIndex, mtu: network.mtu, peer });
  const addresses = [
    { ...network, ip: pair.ip },
    ...(network.ipv6 === undefined || pair.ipv6 === "" ? [] : [{ ...network.ipv6, ip: pair.ipv6 }]),
  ];
  return [
    { what: `create link ${hostLink}`, message: veth, lastIsFdOf: netns },
    // A container's connection to itself through a port of the node may go back the way it came.
    { what: "set hairpin", message: setHairpin(hostLink) },
    { what: `set eth${number} up`, message: setLink(index, { up: true }), netns },
    ...addresses.map((one) => ({
      what: "add address",
      message: addAddress({ index, address: mustParse(one.ip), prefix: prefixOf(one) }),
      netns,
    })),
    ...(pair.isDefault
      ? defaultRoutes(
          netns,
          number,
          addresses.map(({ gateway }) => gateway),
        )
      : []),
  ];
}

function defaultRoutes(netns: string, number: number, gateways: readonly string[]): readonly NetlinkStep[] {
  return gateways.map(mustParse).map((via) => ({
    what: "add default route",
    message: addRoute({ to: everything(via.family), index: firstLinkIndex + number, via }),
    netns,
  }));
}

function everything(family: 4 | 6): Range {
  return { family, base: 0n, prefix: 0 };
}

function prefixOf({ subnet }: Pick<Subnet, "subnet">): number {
  return parseRange(subnet)?.prefix ?? 32;
}

async function findLink(launcher: Launcher, name: string): Promise<number | undefined> {
  return (await nodeLinks(launcher)).find((link) => link.name === name)?.index;
}

/** All of the node. */
export async function nodeLinks(launcher: Launcher): Promise<readonly LinkState[]> {
  const [listed] = await perform(launcher, [listLinks()]);
  return listed?.answers.map(readLink) ?? [];
}

function mustParse(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${JSON.stringify(text)} is no address`);
  return address;
}
