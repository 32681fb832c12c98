// Links, addresses, routes and neighbours as netlink messages (rtnetlink(7), and the kernel's include/uapi/linux headers).
import { createHash } from "node:crypto";
import { type Address, addressBytes, addressFromBytes, type Range } from "./addresses.ts";
import { type Answer, attribute, attributesOf, message, type NetlinkStep } from "./netlink.ts";

const type = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
} as const;
const flag = { request: 1, exclusive: 0x200, replace: 0x100, dump: 0x300, create: 0x400 } as const;
const link = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  info: 18,
  alias: 20,
  group: 27,
  netnsFd: 28,
  txQueues: 31,
  rxQueues: 32,
} as const;
const up = 1;
const families = { 4: 2, 6: 10, bridge: 7 } as const;

/** Marks the routes that this program made. */
const routeProtocol = 110;
/** The links of this group are about to be deleted together: one wait for the kernel's readers instead of one each. */
const dyingGroup = 0x6e61;

/** The link eth0 has this index in every pod, so that one batch can make and configure it. */
export const podLinkIndex = 1000;

export interface LinkState {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly master: number | undefined;
  readonly alias: string;
}

/** Down: some settings must be made before it comes up. */
export function createBridge(name: string, mac: Buffer, mtu: number): Buffer {
  const attributes = [attribute(link.name, name), attribute(link.address, mac), attribute(link.mtu, mtu)];
  const info = attribute(link.info, [attribute(1, "bridge")]);
  return message(type.newLink, flag.request | flag.create | flag.exclusive, linkHeader({}), [...attributes, info]);
}

export interface VethOptions {
  readonly name: string;
  readonly masterIndex: number;
  readonly mtu: number;
  /** `index` within its namespace: podLinkIndex when absent. */
  readonly peer: { readonly name: string; readonly mac?: Buffer; readonly index?: number };
}

/** This end up, its peer not yet: the kernel opens only ends that have found each other. The peer goes to the namespace whose descriptor the launcher writes at the message's end. */
export function createVeth(options: VethOptions): Buffer {
  const { name, masterIndex, mtu, peer } = options;
  const queues = [attribute(link.txQueues, 1), attribute(link.rxQueues, 1)];
  const peerEnd = Buffer.concat([
    linkHeader({ index: peer.index ?? podLinkIndex }),
    attribute(link.name, peer.name),
    ...(peer.mac === undefined ? [] : [attribute(link.address, peer.mac)]),
    attribute(link.mtu, mtu),
    ...queues,
    attribute(link.netnsFd, 0),
  ]);
  const data = attribute(2, [attribute(1, peerEnd)]);
  const own = [
    attribute(link.name, name),
    attribute(link.mtu, mtu),
    attribute(link.master, masterIndex),
    ...queues,
    attribute(link.info, [attribute(1, "veth"), data]),
  ];
  return newLink(own, vethIndex(name));
}

/**
 * The index of this end of a veth, made from its name. The kernel takes the peer's index only when this end's is given too; large ones
 * are free, it counts up from one itself.
 */
function vethIndex(name: string): number {
  return 0x1000_0000 + (createHash("sha256").update(name).digest().readUInt32LE() >>> 4);
}

/**
 * Lets a veth's bridge send packets back the way they came: where the bridge calls netfilter, it forwards a pod's connection to itself
 * through its service without routing it.
 */
export function setHairpin(vethName: string): Buffer {
  const header = linkHeader({ index: vethIndex(vethName) });
  header.writeUInt8(families.bridge, 0);
  return message(type.setLink, flag.request, header, [attribute(0x8000 | 12, [attribute(4, Buffer.from([1]))])]);
}

export interface VxlanOptions {
  readonly name: string;
  readonly mac: Buffer;
  readonly mtu: number;
  readonly vni: number;
  readonly port: number;
  readonly local: Address;
}

/** Without learning: every peer is known ahead. */
export function createVxlan(options: VxlanOptions): Buffer {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(options.port);
  const local = attribute(options.local.family === 4 ? 4 : 17, addressBytes(options.local));
  const data = [attribute(1, options.vni), local, attribute(15, port), attribute(7, Buffer.from([0]))];
  return newLink([
    attribute(link.name, options.name),
    attribute(link.address, options.mac),
    attribute(link.mtu, options.mtu),
    attribute(link.info, [attribute(1, "vxlan"), attribute(2, data)]),
  ]);
}

export function setLink(
  target: number | string,
  change: { readonly up?: boolean; readonly mtu?: number; readonly mac?: Buffer; readonly alias?: string },
): Buffer {
  return message(type.setLink, flag.request, linkHeader(indexAndUp(target, change.up)), [
    ...(typeof target === "string" ? [attribute(link.name, target)] : []),
    ...(change.mtu === undefined ? [] : [attribute(link.mtu, change.mtu)]),
    ...(change.mac === undefined ? [] : [attribute(link.address, change.mac)]),
    ...(change.alias === undefined ? [] : [attribute(link.alias, Buffer.from(change.alias))]),
  ]);
}

export function deleteLink(name: string): Buffer {
  return message(type.delLink, flag.request, linkHeader({}), [attribute(link.name, name)]);
}

/** Steps that delete all these links together; silent about those that are gone. */
export function deleteLinks(names: readonly string[], netns?: string): readonly NetlinkStep[] {
  const where = netns === undefined ? {} : { netns };
  const mark = names.map((name): NetlinkStep => {
    const change = message(type.setLink, flag.request, linkHeader({}), [
      attribute(link.name, name),
      attribute(link.group, dyingGroup),
    ]);
    return { what: `mark link ${name} for deletion`, message: change, accept: [19], ...where };
  });
  const sweep = message(type.delLink, flag.request, linkHeader({}), [attribute(link.group, dyingGroup)]);
  return names.length === 0 ? [] : [...mark, { what: "delete links", message: sweep, accept: [19], ...where }];
}

export function listLinks(netns?: string): NetlinkStep {
  return {
    what: "list links",
    message: message(type.getLink, flag.request | flag.dump, linkHeader({}), []),
    keep: { headerBytes: 16, types: [link.name, link.mtu, link.master, link.alias] },
    ...(netns === undefined ? {} : { netns }),
  };
}

export function readLink({ body }: Answer): LinkState {
  const found = attributesOf(body, 16);
  const text = (number: number) => (found.get(number)?.toString() ?? "").replace(/\0.*$/s, "");
  return {
    index: body.readInt32LE(4),
    name: text(link.name),
    up: (body.readUInt32LE(8) & up) !== 0,
    mtu: found.get(link.mtu)?.readUInt32LE() ?? 0,
    master: found.get(link.master)?.readUInt32LE(),
    alias: text(link.alias),
  };
}

export interface LinkAddress {
  readonly index: number;
  readonly address: Address;
  readonly prefix: number;
}

export function addAddress(wanted: LinkAddress): Buffer {
  return addressMessage(type.newAddress, flag.create | flag.replace, wanted);
}

export function deleteAddress(wanted: LinkAddress): Buffer {
  return addressMessage(type.delAddress, 0, wanted);
}

export function listAddresses(netns?: string): NetlinkStep {
  return {
    what: "list addresses",
    message: message(type.getAddress, flag.request | flag.dump, Buffer.alloc(8), []),
    keep: { headerBytes: 8, types: [1, 2] },
    ...(netns === undefined ? {} : { netns }),
  };
}

export function readAddress({ body }: Answer): LinkAddress | undefined {
  const found = attributesOf(body, 8);
  const bytes = found.get(2) ?? found.get(1);
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 16)) return undefined;
  return { index: body.readUInt32LE(4), address: addressFromBytes(bytes), prefix: body.readUInt8(1) };
}

export interface Route {
  readonly to: Range;
  readonly index: number;
  readonly via?: Address;
  readonly source?: Address;
  /** The gateway is reachable although no address of the link says so. */
  readonly onlink?: boolean;
}

export function addRoute(route: Route): Buffer {
  return routeMessage(type.newRoute, flag.create | flag.replace, route);
}

export function deleteRoute(route: Pick<Route, "to" | "index">): Buffer {
  return routeMessage(type.delRoute, 0, route);
}

/** Routes of this family that this program made. */
export function listRoutes(family: 4 | 6): NetlinkStep {
  const fixed = routeHeader(families[family], { protocol: routeProtocol });
  fixed.writeUInt8(0, 7);
  return {
    what: "list routes",
    message: message(type.getRoute, flag.request | flag.dump, fixed, []),
    keep: { headerBytes: 12, types: [1, 4] },
  };
}

export function readRoute({ body }: Answer): Pick<Route, "to" | "index"> | undefined {
  const found = attributesOf(body, 12);
  const to = found.get(1);
  const index = found.get(4)?.readUInt32LE();
  if (to === undefined || index === undefined || body.readUInt8(5) !== routeProtocol) return undefined;
  const base = addressFromBytes(to);
  return { to: { family: base.family, base: base.value, prefix: body.readUInt8(1) }, index };
}

/** Who answers for an address on a link, or (`forward`) at which host of the underlay a vxlan's MAC address lies. */
export type Neighbour =
  | { readonly index: number; readonly mac: Buffer; readonly address: Address }
  | { readonly index: number; readonly mac: Buffer; readonly forward: Address };

export function addNeighbour(neighbour: Neighbour): Buffer {
  return neighbourMessage(type.newNeighbour, flag.create | flag.replace, neighbour);
}

export function deleteNeighbour(neighbour: Neighbour): Buffer {
  return neighbourMessage(type.delNeighbour, 0, neighbour);
}

export function listNeighbours(family: 4 | 6 | "bridge"): NetlinkStep {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt8(families[family], 0);
  return {
    what: "list neighbours",
    message: message(type.getNeighbour, flag.request | flag.dump, fixed, []),
    keep: { headerBytes: 12, types: [1, 2] },
  };
}

export function readNeighbour({ body }: Answer): Neighbour | undefined {
  const found = attributesOf(body, 12);
  const [to, mac] = [found.get(1), found.get(2)];
  const permanent = (body.readUInt16LE(8) & 0x80) !== 0;
  if (to === undefined || mac?.length !== 6 || !permanent || (to.length !== 4 && to.length !== 16)) return undefined;
  const index = body.readInt32LE(4);
  const address = addressFromBytes(to);
  return body.readUInt8(0) === families.bridge ? { index, mac, forward: address } : { index, mac, address };
}

function newLink(attributes: readonly Buffer[], index = 0): Buffer {
  return message(
    type.newLink,
    flag.request | flag.create | flag.exclusive,
    linkHeader({ index, up: true }),
    attributes,
  );
}

function indexAndUp(target: number | string, isUp: boolean | undefined): { index?: number; up?: boolean } {
  return { ...(typeof target === "number" ? { index: target } : {}), ...(isUp === undefined ? {} : { up: isUp }) };
}

function linkHeader(fields: { readonly index?: number; readonly up?: boolean }): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(fields.index ?? 0, 4);
  if (fields.up !== undefined) {
    header.writeUInt32LE(fields.up ? up : 0, 8);
    header.writeUInt32LE(up, 12);
  }
  return header;
}

function addressMessage(messageType: number, flags: number, wanted: LinkAddress): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(families[wanted.address.family], 0);
  header.writeUInt8(wanted.prefix, 1);
  // IPv6 addresses here are unique by construction; waiting for the kernel to ask around would delay their use.
  header.writeUInt8(wanted.address.family === 6 ? 2 : 0, 2);
  header.writeUInt32LE(wanted.index, 4);
  const bytes = addressBytes(wanted.address);
  return message(messageType, flag.request | flags, header, [attribute(2, bytes), attribute(1, bytes)]);
}

function routeHeader(family: number, fields: { readonly prefix?: number; readonly protocol?: number }): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeUInt8(fields.prefix ?? 0, 1);
  header.writeUInt8(254, 4);
  header.writeUInt8(fields.protocol ?? 0, 5);
  header.writeUInt8(1, 7);
  return header;
}

function routeMessage(messageType: number, flags: number, route: Route): Buffer {
  const header = routeHeader(families[route.to.family], { prefix: route.to.prefix, protocol: routeProtocol });
  const isAdd = messageType === type.newRoute;
  // Scope: on the link without a gateway, anywhere with one; when deleting, whichever it has.
  header.writeUInt8(isAdd ? (route.via === undefined && route.to.family === 4 ? 253 : 0) : 255, 6);
  header.writeUInt32LE(route.onlink === true ? 4 : 0, 8);
  return message(messageType, flag.request | flags, header, [
    ...(route.to.prefix === 0 ? [] : [attribute(1, addressBytes({ family: route.to.family, value: route.to.base }))]),
    attribute(4, route.index),
    ...(route.via === undefined ? [] : [attribute(5, addressBytes(route.via))]),
    ...(route.source === undefined ? [] : [attribute(7, addressBytes(route.source))]),
  ]);
}

function neighbourMessage(messageType: number, flags: number, neighbour: Neighbour): Buffer {
  const header = Buffer.alloc(12);
  const isForward = "forward" in neighbour;
  const address = isForward ? neighbour.forward : neighbour.address;
  header.writeUInt8(isForward ? families.bridge : families[address.family], 0);
  header.writeInt32LE(neighbour.index, 4);
  // Permanent; a forwarding entry belongs to the link itself (NTF_SELF), not to a bridge above it.
  header.writeUInt16LE(0x80, 8);
  header.writeUInt8(isForward ? 2 : 0, 10);
  const attributes = [attribute(1, addressBytes(address)), attribute(2, neighbour.mac)];
  return message(messageType, flag.request | flags, header, attributes);
}
