// The docker door's networks: kept on the disk, brought about in the kernel when a container needs them.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import type { Logger } from "../../../lib/log.ts";
import { below, type Random } from "../../../lib/random.ts";
import {
  contains,
  formatAddress,
  formatRange,
  macOf,
  nthAddress,
  parseAddress,
  parseRange,
  type Range,
} from "../../network/addresses.ts";
import type { DnsSockets } from "../../network/dns-sockets.ts";
import type { Launcher } from "../../network/netlink.ts";
import { runNft } from "../../network/nft.ts";
import { Sysctls } from "../../network/sysctls.ts";
import { findByName, makeId } from "../containers/names.ts";
import type { ContainerRecord, Endpoint, LiveEndpoint, PublishedPort } from "../containers/record.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, DockerProblem, messageOf } from "../http/problem.ts";
import {
  ensureBridge,
  hostLinkName,
  linksOut,
  makePair,
  nodeLinks,
  removeBridge,
  removePair,
  setDefaultRoute,
} from "./links.ts";
import { openNamesServer } from "./names-server.ts";
import { Neighbours } from "./neighbours.ts";
import { mtuDefault, parseNetwork } from "./parse-network.ts";
import { Pools } from "./pools.ts";
import { choosePorts, planPorts } from "./ports.ts";
import { hasNames, type NetworkRecord, predefined } from "./record.ts";
import { rulesText } from "./rules.ts";
import { freeSubnet, parseRoutes } from "./subnets.ts";

export interface NetworksOptions {
  readonly dir: string;
  readonly runDir: string;
  /** Start of links' names and name of the nft table: no other agent of this network namespace has the same. */
  readonly prefix: string;
  readonly launcher: Launcher;
  readonly nft: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Ranges that the cluster uses. */
  readonly reserved: readonly string[];
  /** All containers as they are now: whose addresses are taken, what their names are. */
  readonly containers: () => readonly ContainerRecord[];
}

interface Up {
  readonly bridgeIndex: number;
}

export class Networks {
  readonly #options: NetworksOptions;
  readonly #names: DnsSockets;
  readonly #sysctls: Sysctls;
  #records: readonly NetworkRecord[];
  readonly #up = new Map<string, Promise<Up>>();
  readonly #pools = new Pools((network) => this.usersOf(network).flatMap(({ endpoint }) => endpoint.live ?? []));
  /** Published ports by container, from before it runs. */
  readonly #claims = new Map<string, readonly PublishedPort[]>();
  #rules = "";
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: NetworksOptions, records: readonly NetworkRecord[]) {
    this.#options = options;
    this.#records = records;
    this.#sysctls = new Sysctls(join(options.runDir, "sysctls.json"));
    const { clock, random, containers, log } = options;
    const neighbours = new Neighbours({ clock, random, containers, networks: () => this.#records });
    this.#names = openNamesServer({ neighbours, log });
  }

  static async open(options: NetworksOptions): Promise<Networks> {
    const networks = new Networks(options, readRecords(options.dir));
    networks.#addPredefined();
    return networks;
  }

  /** Goes on with what runs: called when the containers are known. */
  async adopt(): Promise<void> {
    const running = this.#options.containers().filter(({ phase }) => phase === "running");
    const used = new Set(
      running.flatMap(({ endpoints }) => Object.values(endpoints).map(({ networkId }) => networkId)),
    );
    for (const network of this.#records) {
      if (used.has(network.id) && network.driver === "bridge") await this.#ensure(network);
    }
    for (const { id, ports } of running) if (ports.length > 0) this.#claims.set(id, ports);
    // An agent that was killed may have left rules of what has ended since.
    const names = new Set((await nodeLinks(this.#options.launcher)).map(({ name }) => name));
    if (this.#records.some(({ link }) => names.has(link))) await this.applyRules();
  }

  list(): readonly NetworkRecord[] {
    return this.#records;
  }

  find(text: string): NetworkRecord {
    return findByName(this.#records, text, "network");
  }

  nameOf(id: string): string | undefined {
    return this.#records.find((network) => network.id === id)?.name;
  }

  create(body: JsonObject): NetworkRecord {
    const { random, clock, prefix } = this.#options;
    const id = makeId(random);
    const network = parseNetwork(body, {
      id,
      nowMs: clock.now(),
      link: `${prefix}${id.slice(0, 6)}`,
      existing: this.#records,
      freeSubnet: () => this.#freeSubnet(),
    });
    if (this.#records.some(({ link }) => link === network.link))
      throw conflict(`bridge name ${network.link} already in use`);
    this.#save([...this.#records, network]);
    return network;
  }

  async remove(network: NetworkRecord): Promise<void> {
    if (predefined.includes(network.name))
      throw new DockerProblem(403, `${network.name} is a pre-defined network and cannot be removed`);
    const users = this.usersOf(network).filter(({ record }) => record.phase === "running");
    if (users.length > 0)
      throw new DockerProblem(
        403,
        `error while removing network: network ${network.name} has active endpoints (${users.map(({ record }) => `name:${JSON.stringify(record.name)} id:${JSON.stringify(record.id.slice(0, 12))}`).join(", ")})`,
      );
    this.#save(this.#records.filter(({ id }) => id !== network.id));
    await this.#drop(network);
  }

  usersOf(
    network: NetworkRecord,
  ): readonly { readonly record: ContainerRecord; readonly name: string; readonly endpoint: Endpoint }[] {
    return this.#options.containers().flatMap((record) =>
      Object.entries(record.endpoints)
        .filter(([, { networkId }]) => networkId === network.id)
        .map(([name, endpoint]) => ({ record, name, endpoint })),
    );
  }

  /** Checks what a container asks of a network before it is made. */
  checkEndpoint(network: NetworkRecord, endpoint: Pick<Endpoint, "wantedIp" | "wantedIpv6" | "aliases">): void {
    const { wantedIp, wantedIpv6 = "" } = endpoint;
    for (const [wanted, subnet] of [
      [wantedIp, network.subnet],
      [wantedIpv6, network.ipv6?.subnet ?? ""],
    ] as const) {
      if (wanted === "") continue;
      if (!hasNames(network)) throw badRequest("user specified IP address is supported on user defined networks only");
      const address = parseAddress(wanted);
      const range = parseRange(subnet);
      if (range === undefined) throw badRequest(`address ${wanted}: network ${network.name} has no IPv6 (--ipv6)`);
      if (address === undefined || !contains(range, address))
        throw badRequest(`invalid address ${wanted}: it is not in ${subnet} of network ${network.name}`);
    }
  }

  /** Links a container's network namespace to a network. */
  async attach(
    network: NetworkRecord,
    endpoint: Endpoint,
    where: {
      readonly containerId: string;
      readonly netns: string;
      readonly number: number;
      readonly isDefault: boolean;
    },
  ): Promise<LiveEndpoint> {
    const { launcher, random } = this.#options;
    const { bridgeIndex } = await this.#ensure(network);
    const ip = this.#pools.take(network, 4, endpoint.wantedIp);
    const ipv6 = this.#takeIpv6(network, endpoint, formatAddress(ip));
    const mac = endpoint.wantedMac === "" ? macOf(ip, 0x02, 0x42) : parseMac(endpoint.wantedMac);
    const hostLink = hostLinkName(where.containerId, network.id);
    try {
      await makePair(launcher, network, bridgeIndex, {
        ...{ ...where, hostLink, mac },
        ip: formatAddress(ip),
        ipv6: ipv6?.ip ?? "",
      });
    } catch (error) {
      this.#pools.free(network.id, { ip: formatAddress(ip), ...(ipv6 === undefined ? {} : { ipv6 }) });
      throw error;
    }
    return {
      endpointId: makeId(random),
      ip: formatAddress(ip),
      prefix: parseRange(network.subnet)?.prefix ?? 32,
      gateway: network.internal ? "" : network.gateway,
      ...(ipv6 === undefined ? {} : { ipv6 }),
      mac: [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
      hostLink,
      link: `eth${where.number}`,
    };
  }

  async detach(networkId: string, live: LiveEndpoint): Promise<void> {
    await removePair(this.#options.launcher, live.hostLink);
    this.release(networkId, live);
  }

  /** Its link went with its network namespace. */
  release(networkId: string, live: LiveEndpoint): void {
    this.#pools.free(networkId, live);
  }

  async setDefaultRoute(netns: string, live: LiveEndpoint | undefined): Promise<void> {
    const to =
      live === undefined
        ? undefined
        : { number: Number(live.link.slice(3)), gateways: [live.gateway, ...(live.ipv6 ? [live.ipv6.gateway] : [])] };
    await setDefaultRoute(this.#options.launcher, netns, to);
  }

  /** Chooses ports of the node and keeps them for the container until `unpublish`. */
  async publish(record: ContainerRecord, network: NetworkRecord): Promise<readonly PublishedPort[]> {
    const wanted = planPorts(record, network);
    if (wanted.length === 0) return [];
    return await this.#inTurn(async () => {
      const taken = [...this.#claims].flatMap(([id, ports]) => (id === record.id ? [] : ports));
      const ports = await choosePorts(wanted, taken, below(this.#options.random, 16_000));
      this.#claims.set(record.id, ports);
      return ports;
    });
  }

  unpublish(containerId: string): void {
    this.#claims.delete(containerId);
  }

  /** Brings the node's rules to what runs; one at a time, and only when they differ. */
  applyRules(): Promise<void> {
    return this.#inTurn(async () => {
      const { prefix, nft, containers } = this.#options;
      const published = containers()
        .filter(({ phase, ports }) => phase === "running" && ports.length > 0)
        .flatMap(({ endpoints, ports }) => {
          const live = Object.values(endpoints).find((endpoint) => endpoint.live !== undefined)?.live;
          return live === undefined ? [] : [{ ip: live.ip, ipv6: live.ipv6?.ip, ports }];
        });
      const text = rulesText(
        prefix,
        this.#records.filter(({ id }) => this.#up.has(id)),
        published,
      );
      if (text === this.#rules) return;
      await runNft(nft, text);
      this.#rules = text;
    });
  }

  /** Lets go: links and rules stay, for the containers that run on. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#names.closeAll();
  }

  /** Nothing of it is left in the kernel; the records stay. */
  async tearDown(): Promise<void> {
    const { nft, prefix, launcher } = this.#options;
    await this.close();
    for (const { link, driver } of this.#records) if (driver === "bridge") await removeBridge(launcher, link);
    for (const family of ["ip", "ip6"])
      await runNft(nft, `add table ${family} ${prefix}\ndelete table ${family} ${prefix}\n`);
    await this.#sysctls.restore();
    this.#up.clear();
    this.#rules = "";
  }

  #ensure(network: NetworkRecord): Promise<Up> {
    const known = this.#up.get(network.id);
    if (known !== undefined) return known;
    const made = this.#make(network);
    this.#up.set(network.id, made);
    made.catch(() => this.#up.delete(network.id));
    return made;
  }

  async #make(network: NetworkRecord): Promise<Up> {
    const { launcher, log } = this.#options;
    const bridgeIndex = await ensureBridge(launcher, network);
    const conf = `ipv4/conf/${network.link}`;
    const out = linksOut().map((link) => [`ipv4/conf/${link}/forwarding`, "1"]);
    await this.#sysctls.set({
      [`${conf}/forwarding`]: "1",
      [`${conf}/route_localnet`]: "1",
      ...Object.fromEntries(out),
      ...(network.ipv6 === undefined ? {} : { "ipv6/conf/all/forwarding": "1" }),
    });
    await this.#names.open(network.gateway).catch((error) => {
      log.error({ error: messageOf(error), network: network.name }, "containers of a network cannot look up names");
    });
    // By now it counts as up.
    await this.applyRules();
    return { bridgeIndex };
  }

  async #drop(network: NetworkRecord): Promise<void> {
    const { launcher } = this.#options;
    this.#pools.forget(network.id);
    if (!this.#up.delete(network.id)) return;
    await this.#names.close(network.gateway);
    await removeBridge(launcher, network.link);
    await this.applyRules();
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run, run);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #takeIpv6(network: NetworkRecord, { wantedIpv6 = "" }: Endpoint, ip: string): LiveEndpoint["ipv6"] {
    if (network.ipv6 === undefined) return undefined;
    try {
      return {
        ip: formatAddress(this.#pools.take(network, 6, wantedIpv6)),
        prefix: parseRange(network.ipv6.subnet)?.prefix ?? 64,
        gateway: network.internal ? "" : network.ipv6.gateway,
      };
    } catch (error) {
      this.#pools.free(network.id, { ip });
      throw error;
    }
  }

  #freeSubnet(): Range {
    const own = this.#records.map(({ link }) => link);
    const routes = parseRoutes(readFileSync("/proc/net/route", "utf8")).filter(
      ({ link, range }) => range.prefix > 0 && !own.includes(link),
    );
    const ranges = [...this.#options.reserved, ...this.#records.map(({ subnet }) => subnet)].flatMap(
      (text) => parseRange(text) ?? [],
    );
    return freeSubnet([...ranges, ...routes.map(({ range }) => range)]);
  }

  #addPredefined(): void {
    const { random, clock, prefix } = this.#options;
    const missing = predefined.filter((name) => !this.#records.some((network) => network.name === name));
    if (missing.length === 0) return;
    const plain = {
      createdAtMs: clock.now(),
      internal: false,
      attachable: false,
      subnet: "",
      gateway: "",
      ipRange: "",
      masquerade: true,
      mtu: mtuDefault,
      bindingIp: "0.0.0.0",
      link: "",
      options: {},
      labels: {},
    };
    const added = missing.map((name): NetworkRecord => {
      const id = makeId(random);
      if (name !== "bridge") return { ...plain, id, name, driver: name === "host" ? "host" : "null" };
      const range = this.#freeSubnet();
      const [subnet, gateway] = [formatRange(range), formatAddress(nthAddress(range, 1))];
      return {
        ...plain,
        id,
        name,
        driver: "bridge",
        subnet,
        gateway,
        link: `${prefix}0`,
        options: bridgeOptions(`${prefix}0`),
      };
    });
    this.#save([...added, ...this.#records]);
  }

  #save(records: readonly NetworkRecord[]): void {
    const path = join(this.#options.dir, "networks.json");
    writeFileSync(`${path}.new`, JSON.stringify(records), { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
    this.#records = records;
  }
}

function readRecords(dir: string): readonly NetworkRecord[] {
  try {
    return JSON.parse(readFileSync(join(dir, "networks.json"), "utf8")) as readonly NetworkRecord[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Error(`read networks of containers in ${dir}`, { cause: error });
  }
}

function bridgeOptions(link: string): Readonly<Record<string, string>> {
  const prefix = "com.docker.network.";
  return {
    [`${prefix}bridge.default_bridge`]: "true",
    [`${prefix}bridge.enable_icc`]: "true",
    [`${prefix}bridge.enable_ip_masquerade`]: "true",
    [`${prefix}bridge.host_binding_ipv4`]: "0.0.0.0",
    [`${prefix}bridge.name`]: link,
    [`${prefix}driver.mtu`]: String(mtuDefault),
  };
}

function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$/i.test(text))
    throw badRequest(`invalid MAC address: ${JSON.stringify(text)}`);
  return Buffer.from(text.replaceAll(/[:-]/g, ""), "hex");
}
