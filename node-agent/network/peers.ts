// The way to other nodes' pods: a route each, and for a node behind the vxlan the two entries that say where its end of it lies.
import {
  type Address,
  contains,
  formatAddress,
  formatRange,
  macOf,
  parseAddress,
  parseRange,
  type Range,
} from "./addresses.ts";
import {
  addNeighbour,
  addRoute,
  deleteNeighbour,
  deleteRoute,
  listNeighbours,
  listRoutes,
  type Neighbour,
  type Route,
  readNeighbour,
  readRoute,
} from "./links.ts";
import { errno, type Launcher, type NetlinkStep, perform } from "./netlink.ts";

export type Backend = "vxlan" | "host-gw" | "auto";

export interface PeerNode {
  readonly name: string;
  readonly ip: string;
  readonly podCidrs: readonly string[];
}

export interface Underlay {
  readonly backend: Backend;
  readonly nodeIp: Address;
  /** The range of the link that has the node's address: what lies in it needs no router. */
  readonly nodeRange: Range;
  readonly linkIndex: number;
  readonly vxlanIndex: number | undefined;
  readonly podRanges: readonly Range[];
  /** The node's own addresses in its pod ranges: the source of what the node itself sends to pods. */
  readonly gateways: readonly Address[];
}

/** What is wanted in the kernel, by a key that names all that matters of it. */
export interface PeerEntries {
  readonly routes: ReadonlyMap<string, Route>;
  readonly neighbours: ReadonlyMap<string, Neighbour>;
}

export const noPeers: PeerEntries = { routes: new Map(), neighbours: new Map() };

/** Pure: routes and neighbours for these nodes. Nodes without an address or with ranges that are none are left out. */
export function planPeers(nodes: readonly PeerNode[], underlay: Underlay): PeerEntries {
  const routes = new Map<string, Route>();
  const neighbours = new Map<string, Neighbour>();
  for (const node of nodes) {
    const ip = parseAddress(node.ip);
    if (ip === undefined || ip.family !== underlay.nodeIp.family || ip.value === underlay.nodeIp.value) continue;
    const direct = isDirect(ip, underlay);
    if (!direct && underlay.vxlanIndex === undefined) continue;
    for (const text of node.podCidrs) {
      const to = parseRange(text);
      if (to === undefined || underlay.podRanges.some((own) => own.base === to.base)) continue;
      const key = `${to.family} ${formatRange(to)}`;
      const source = underlay.gateways.find(({ family }) => family === to.family);
      const withSource = source === undefined ? {} : { source };
      // A gateway of the other family cannot be named in a plain route, so such ranges go through the vxlan.
      if ((direct && to.family === ip.family) || underlay.vxlanIndex === undefined) {
        if (to.family === ip.family) {
          routes.set(key, { to, index: underlay.linkIndex, via: ip, onlink: true, ...withSource });
        }
        continue;
      }
      const index = underlay.vxlanIndex;
      const far: Address = { family: to.family, value: to.base };
      const mac = vxlanMac(ip);
      routes.set(key, { to, index, via: far, onlink: true, ...withSource });
      neighbours.set(`${index} ${formatAddress(far)}`, { index, mac, address: far });
      neighbours.set(`${index} ${mac.toString("hex")}`, { index, mac, forward: ip });
    }
  }
  return { routes, neighbours };
}

/** The MAC address of a node's end of the vxlan: everybody can tell it from the node's address. */
export function vxlanMac(nodeIp: Address): Buffer {
  return macOf(nodeIp, 0x0e, 0x76);
}

/** Pure: the steps from one state to the other; things that stay are not touched. */
export function peerSteps(from: PeerEntries, to: PeerEntries): readonly NetlinkStep[] {
  const steps: NetlinkStep[] = [];
  for (const [key, neighbour] of from.neighbours) {
    if (to.neighbours.has(key)) continue;
    steps.push({ what: `delete neighbour ${key}`, message: deleteNeighbour(neighbour), accept: [errno.ENOENT] });
  }
  for (const [key, route] of from.routes) {
    if (to.routes.has(key)) continue;
    steps.push({ what: `delete route ${key}`, message: deleteRoute(route), accept: [errno.ESRCH] });
  }
  for (const [key, neighbour] of to.neighbours) {
    const before = from.neighbours.get(key);
    if (before !== undefined && neighbourText(before) === neighbourText(neighbour)) continue;
    steps.push({ what: `add neighbour ${key}`, message: addNeighbour(neighbour) });
  }
  for (const [key, route] of to.routes) {
    const before = from.routes.get(key);
    if (before !== undefined && routeText(before) === routeText(route)) continue;
    // A route over another link is another route to the kernel, so replacing does not remove the old one.
    if (before !== undefined && before.index !== route.index) {
      steps.push({ what: `delete route ${key}`, message: deleteRoute(before), accept: [errno.ESRCH] });
    }
    steps.push({ what: `add route ${key}`, message: addRoute(route) });
  }
  return steps;
}

/** What an earlier agent left of these; enough to remove what is not wanted any more. */
export async function readPeers(
  launcher: Launcher,
  own: { readonly bridgeIndex: number; readonly vxlanIndex: number | undefined },
): Promise<PeerEntries> {
  const accept = [errno.ENOENT];
  const lists = [listRoutes(4), listRoutes(6), listNeighbours(4), listNeighbours(6), listNeighbours("bridge")];
  const results = await perform(
    launcher,
    lists.map((step) => ({ ...step, accept })),
  );
  const routes = new Map<string, Route>();
  const neighbours = new Map<string, Neighbour>();
  for (const answer of results.slice(0, 2).flatMap(({ answers }) => answers)) {
    const route = readRoute(answer);
    // The bridge's routes lead to the node's own pods and to services.
    if (route !== undefined && route.index !== own.bridgeIndex)
      routes.set(`${route.to.family} ${formatRange(route.to)}`, route);
  }
  for (const answer of results.slice(2).flatMap(({ answers }) => answers)) {
    const neighbour = readNeighbour(answer);
    if (neighbour === undefined || neighbour.index !== own.vxlanIndex) continue;
    const name = "forward" in neighbour ? neighbour.mac.toString("hex") : formatAddress(neighbour.address);
    neighbours.set(`${neighbour.index} ${name}`, neighbour);
  }
  return { routes, neighbours };
}

function isDirect(ip: Address, underlay: Underlay): boolean {
  if (underlay.backend === "vxlan") return false;
  return underlay.backend === "host-gw" || contains(underlay.nodeRange, ip);
}

function routeText({ index, via, source }: Route): string {
  return [index, via && formatAddress(via), source && formatAddress(source)].join(" ");
}

function neighbourText(neighbour: Neighbour): string {
  const address = "forward" in neighbour ? neighbour.forward : neighbour.address;
  return `${neighbour.mac.toString("hex")} ${formatAddress(address)}`;
}
