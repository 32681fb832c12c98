// Pods' links: a veth pair per pod, made inside the pod's network namespace by one request. The link's alias in the kernel is the
// record of who holds which address, so what the records say and what exists cannot differ, whenever the agent is killed.
import { createHash } from "node:crypto";
import { type Address, AddressPool, formatAddress, macOf, nthAddress, parseAddress, type Range } from "./addresses.ts";
import {
  addAddress,
  addNeighbour,
  addRoute,
  createVeth,
  deleteLinks,
  deleteNeighbour,
  type LinkState,
  listLinks,
  podLinkIndex,
  readLink,
  setHairpin,
  setLink,
} from "./links.ts";
import { errno, type Launcher, NetlinkError, type NetlinkStep, perform } from "./netlink.ts";

const aliasStart = "naru-pod";
const uidPattern = /^[A-Za-z0-9_.-]{1,128}$/;

export interface PodLinksOptions {
  readonly launcher: Launcher;
  readonly bridgeIndex: number;
  readonly mtu: number;
  readonly podRanges: readonly Range[];
  /** The bridge and links of this node: part of the pods' links' names. */
  readonly bridgeName: string;
}

interface PodRecord {
  readonly linkName: string;
  readonly addresses: readonly Address[];
}

export class PodLinks {
  readonly #launcher: Launcher;
  #options: PodLinksOptions;
  #pools: readonly AddressPool[] = [];
  readonly #pods = new Map<string, PodRecord>();
  readonly #turns = new Map<string, Promise<unknown>>();
  #dying: { readonly records: PodRecord[]; readonly done: Promise<void> } | undefined;
  #deletion: Promise<void> = Promise.resolve();

  private constructor(options: PodLinksOptions) {
    this.#options = options;
    this.#launcher = options.launcher;
    this.#pools = options.podRanges.map((range) => new AddressPool(range));
  }

  /** Adopts the links that an earlier agent made and deletes those that it had not finished. */
  static async open(options: PodLinksOptions, links: readonly LinkState[]): Promise<PodLinks> {
    const pods = new PodLinks(options);
    const unfinished: string[] = [];
    for (const link of links.filter((one) => one.master === options.bridgeIndex)) {
      const record = recordOf(link);
      if (record === undefined) unfinished.push(link.name);
      else pods.#adopt(record.uid, { linkName: link.name, addresses: record.addresses });
    }
    await perform(options.launcher, deleteLinks(unfinished));
    return pods;
  }

  /** Takes other ranges or another bridge; pods that are linked keep what they have. */
  reconfigure(options: PodLinksOptions): void {
    this.#options = options;
    this.#pools = options.podRanges.map((range) => new AddressPool(range));
    for (const { addresses } of this.#pods.values()) this.#reserve(addresses);
  }

  attach(uid: string, netns: string): Promise<readonly string[]> {
    if (!uidPattern.test(uid))
      return Promise.reject(new Error(`pod uid ${JSON.stringify(uid)} is not usable as a name`));
    return this.#inTurn(uid, () => this.#attach(uid, netns));
  }

  detach(uid: string): Promise<void> {
    return this.#inTurn(uid, async () => {
      const record = this.#pods.get(uid);
      if (record === undefined) return;
      await this.#delete(record);
      this.#forget(uid, record);
    });
  }

  addressesOf(uid: string): readonly string[] {
    return (this.#pods.get(uid)?.addresses ?? []).map(formatAddress);
  }

  attached(): readonly string[] {
    return [...this.#pods.keys()];
  }

  async #attach(uid: string, netns: string): Promise<readonly string[]> {
    const known = this.#pods.get(uid);
    if (known !== undefined) {
      if (await this.#isInside(netns, known)) return known.addresses.map(formatAddress);
      await this.#delete(known);
    }
    const addresses = known?.addresses ?? this.#take();
    const linkName = known?.linkName ?? linkNameOf(this.#options.bridgeName, uid);
    try {
      await this.#link(uid, { linkName, addresses }, netns);
    } catch (cause) {
      await perform(this.#launcher, detachSteps(this.#options, [{ linkName, addresses }]));
      this.#forget(uid, { linkName, addresses });
      throw new Error(`link pod ${uid}`, { cause });
    }
    this.#pods.set(uid, { linkName, addresses });
    return addresses.map(formatAddress);
  }

  async #link(uid: string, record: PodRecord, netns: string): Promise<void> {
    const steps = attachSteps(this.#options, { uid, netns, ...record });
    try {
      await perform(this.#launcher, steps);
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== errno.EEXIST) throw error;
      // Half a link that an agent left when it was killed, in this namespace or under this name.
      await perform(this.#launcher, [...deleteLinks([record.linkName]), ...deleteLinks(["eth0"], netns)]);
      await perform(this.#launcher, steps);
    }
  }

  async #isInside(netns: string, record: PodRecord): Promise<boolean> {
    const [inside] = await perform(this.#launcher, [listLinks(netns)]);
    const eth0 = inside?.answers.map(readLink).find(({ name }) => name === "eth0");
    if (eth0?.index !== podLinkIndex) return false;
    const [outside] = await perform(this.#launcher, [listLinks()]);
    return outside?.answers.map(readLink).some(({ name }) => name === record.linkName) === true;
  }

  #take(): readonly Address[] {
    const taken: Address[] = [];
    for (const pool of this.#pools) {
      const address = pool.take();
      if (address === undefined) {
        for (const [i, one] of taken.entries()) this.#pools[i]?.free(one);
        throw new Error(`no free pod address: all ${pool.usedCount} of this node's range are in use`);
      }
      taken.push(address);
    }
    if (taken.length === 0) throw new Error("the node has no range of pod addresses yet");
    return taken;
  }

  #adopt(uid: string, record: PodRecord): void {
    this.#pods.set(uid, record);
    this.#reserve(record.addresses);
  }

  #reserve(addresses: readonly Address[]): void {
    for (const address of addresses) for (const pool of this.#pools) pool.reserve(address);
  }

  #forget(uid: string, { addresses }: PodRecord): void {
    this.#pods.delete(uid);
    for (const address of addresses) for (const pool of this.#pools) pool.free(address);
  }

  // Deletions that come while one runs go together: the kernel waits for its readers once per request, not once per link.
  #delete(record: PodRecord): Promise<void> {
    if (this.#dying !== undefined) {
      this.#dying.records.push(record);
      return this.#dying.done;
    }
    const records = [record];
    const done = this.#deletion.then(async () => {
      this.#dying = undefined;
      // It takes 20 ms, in which pods start.
      await perform(this.#launcher, detachSteps(this.#options, records), { aside: true });
    });
    this.#dying = { records, done };
    this.#deletion = done.catch(() => {});
    return done;
  }

  // One call per pod at a time, in the order they came.
  #inTurn<T>(uid: string, run: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(uid) ?? Promise.resolve()).then(run, run);
    this.#turns.set(uid, turn);
    const leave = () => {
      if (this.#turns.get(uid) === turn) this.#turns.delete(uid);
    };
    void turn.then(leave, leave);
    return turn;
  }
}

/** 13 characters of the 15 that a link's name may have. */
export function linkNameOf(bridgeName: string, uid: string): string {
  return `nv${createHash("sha256").update(`${bridgeName}/${uid}`).digest("hex").slice(0, 11)}`;
}

interface Attachment extends PodRecord {
  readonly uid: string;
  readonly netns: string;
}

// Pure: everything between a fresh namespace and a pod with a network.
function attachSteps(options: PodLinksOptions, pod: Attachment): readonly NetlinkStep[] {
  const { netns, linkName, addresses } = pod;
  const mac = addresses[0] === undefined ? {} : { mac: macOf(addresses[0]) };
  const veth = { name: linkName, masterIndex: options.bridgeIndex, mtu: options.mtu, peer: { name: "eth0", ...mac } };
  const alias = [aliasStart, pod.uid, addresses.map(formatAddress).join(",")].join(" ");
  return [
    { what: "create link", message: createVeth(veth), lastIsFdOf: netns },
    { what: "set hairpin", message: setHairpin(linkName) },
    { what: "set lo up", message: setLink(1, { up: true }), netns },
    { what: "set eth0 up", message: setLink(podLinkIndex, { up: true }), netns },
    ...addresses.flatMap((address) => addressSteps(address, options.podRanges, netns)),
    ...neighboursOf(options, pod).map((neighbour) => ({
      what: "add neighbour",
      message: addNeighbour(neighbour),
    })),
    // Last: a link with an alias is a finished one.
    { what: "set link's alias", message: setLink(linkName, { alias }) },
  ];
}

function detachSteps(options: PodLinksOptions, records: readonly PodRecord[]): readonly NetlinkStep[] {
  const neighbours = records.flatMap((record) => neighboursOf(options, record));
  return [
    ...deleteLinks(records.map(({ linkName }) => linkName)),
    ...neighbours.map((neighbour) => ({
      what: "delete neighbour",
      message: deleteNeighbour(neighbour),
      accept: [errno.ENOENT, errno.ENODEV],
    })),
  ];
}

// The node knows who has a pod's address: it never asks, and such entries are not among the 1024 that a kernel has for all of its
// namespaces, beyond which probes and services reach nobody. An entry that is left behind is right for the next pod with the address too.
function neighboursOf({ bridgeIndex }: PodLinksOptions, { addresses: [first, ...others] }: PodRecord) {
  if (first === undefined) return [];
  return [first, ...others].map((address) => ({ index: bridgeIndex, mac: macOf(first), address }));
}

// The pod has its address alone and no range: even neighbours on the bridge are reached through the node, where service rules apply
// to both directions of a connection.
function addressSteps(address: Address, ranges: readonly Range[], netns: string): readonly NetlinkStep[] {
  const range = ranges.find(({ family }) => family === address.family);
  const everything: Range = { family: address.family, base: 0n, prefix: 0 };
  const prefix = address.family === 4 ? 32 : 128;
  const own = { what: "add address", message: addAddress({ index: podLinkIndex, address, prefix }), netns };
  if (range === undefined) return [own];
  const route = { to: everything, index: podLinkIndex, via: nthAddress(range, 1), onlink: true };
  return [own, { what: "add default route", message: addRoute(route), netns }];
}

function recordOf(link: LinkState): { readonly uid: string; readonly addresses: readonly Address[] } | undefined {
  const [start, uid, list] = link.alias.split(" ");
  if (start !== aliasStart || uid === undefined || list === undefined || !uidPattern.test(uid)) return undefined;
  const addresses = list.split(",").flatMap((text) => parseAddress(text) ?? []);
  return { uid, addresses };
}
