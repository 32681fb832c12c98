// A node's network on Linux: the bridge, the ways to other nodes, the service table and the DNS server, kept at what the cluster says.
import { readFileSync } from "node:fs";
import type { Node } from "../../api/kinds/generated/types.ts";
import { type Clock, sleep, type Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { type Address, formatAddress, nthAddress, parseAddress, parseRange, type Range } from "./addresses.ts";
import { type ClusterIndex, indexCluster } from "./cluster-index.ts";
import { forgetUdp } from "./conntrack.ts";
import { DnsServer } from "./dns.ts";
import { createForward, nameservers } from "./dns-forward.ts";
import { type ClusterNames, clusterNames } from "./dns-names.ts";
import { HealthChecks } from "./health-checks.ts";
import { type HostPort, indexHostPorts, type PodPortsIndex } from "./host-ports.ts";
import { type Launcher, perform } from "./netlink.ts";
import type { ClusterNetworkState, Network, PodNetwork } from "./network.ts";
import type { TableOptions } from "./nft-text.ts";
import { bridgeNameOf, ensureNodeLinks, type NodeLinksState, removeNodeLinks } from "./node-links.ts";
import { type Backend, type PeerEntries, type PeerNode, peerSteps, planPeers, readPeers } from "./peers.ts";
import { PodLinks } from "./pod-links.ts";
import type { UdpEndpoint } from "./service-rules.ts";
import { type AppliedRules, removeTable, ServiceTable } from "./service-table.ts";

export interface LinuxNetworkOptions {
  readonly launcher: Launcher;
  /** The nft program. */
  readonly nft: string;
  readonly stateDir: string;
  /** Pods of all nodes, such as "10.244.0.0/16"; one range per address family. */
  readonly clusterCidrs: readonly string[];
  readonly serviceCidr: string;
  readonly clusterDomain: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** How pods of other nodes are reached; "auto": plain routes to nodes on the same link, vxlan to others. */
  readonly backend?: Backend;
  readonly vni?: number;
  readonly vxlanPort?: number;
  /** Start of the links' names and name of the nft table; two nodes in one network namespace need two. */
  readonly prefix?: string;
  /** DNS servers for names outside the cluster; else those of /etc/resolv.conf. */
  readonly upstreams?: readonly string[];
  readonly metrics?: NetworkMetrics;
}

/** Called as things happen; to be counted. */
export interface NetworkMetrics {
  readonly rulesApplied?: (applied: AppliedRules) => void;
  readonly podAttached?: (durationMs: number) => void;
  /** One pass over a cluster state: routes, rules and names. */
  readonly stateApplied?: (durationMs: number) => void;
  readonly applyFailed?: () => void;
}

/** What tests and a planned stop need beside the interface. */
export interface LinuxNetwork extends Network {
  /** Resolves when the last state given has been applied; waits through retries. */
  settled(): Promise<void>;
}

const zoneLabel = "topology.kubernetes.io/zone";
const retryMs = 1000;
/** Least time between two passes, so that a burst of changes costs few. */
const passGapMs = 25;
const resolvConfMs = 10_000;
const prefixPattern = /^[a-z][a-z0-9-]{0,11}$/;
/** Of the service range, as Kubernetes' installers choose it. */
const dnsAddressIndex = 10;

export async function openLinuxNetwork(options: LinuxNetworkOptions): Promise<LinuxNetwork> {
  const prefix = options.prefix ?? "naru";
  if (!prefixPattern.test(prefix)) throw new Error(`link prefix ${JSON.stringify(prefix)} must match ${prefixPattern}`);
  const clusterRanges = options.clusterCidrs.map((text) => rangeOf(text, "cluster range"));
  return new OpenNetwork(options, {
    prefix,
    clusterRanges,
    serviceRange: rangeOf(options.serviceCidr, "service range"),
  });
}

interface Settings {
  readonly prefix: string;
  readonly clusterRanges: readonly Range[];
  readonly serviceRange: Range;
}

interface Ready {
  readonly nodeName: string;
  readonly links: NodeLinksState;
  readonly pods: PodLinks;
  readonly table: ServiceTable;
  peers: PeerEntries;
}

class OpenNetwork implements LinuxNetwork {
  readonly #options: LinuxNetworkOptions;
  readonly #settings: Settings;
  readonly #dns: DnsServer;
  readonly #dnsAddress: Address;
  readonly #healthChecks: HealthChecks;
  readonly #stop = new AbortController();
  #ready: Ready | undefined;
  #setUpKey = "";
  #wanted: ClusterNetworkState | undefined;
  /** Of the newest state. */
  #hostPorts: readonly HostPort[] = [];
  #index: ClusterIndex = new Map();
  #podPorts: PodPortsIndex = new Map();
  #names: ClusterNames;
  // Everything that touches links, routes and rules as a whole goes through here, one at a time.
  #turn: Promise<unknown> = Promise.resolve();
  #pass: Promise<void> | undefined;
  #listenTimer: Timer | undefined;

  constructor(options: LinuxNetworkOptions, settings: Settings) {
    this.#options = options;
    this.#settings = settings;
    this.#dnsAddress = nthAddress(settings.serviceRange, dnsAddressIndex);
    this.#names = clusterNames(this.#index, options.clusterDomain);
    const { clock, random, log } = options;
    const forward = createForward({ clock, random, upstreams: this.#upstreamSource() });
    this.#healthChecks = new HealthChecks(log);
    this.#dns = new DnsServer({ names: () => this.#names, forward, random, log });
  }

  async setUp(node: {
    readonly name: string;
    readonly nodeIp: string;
    readonly podCidrs: readonly string[];
  }): Promise<void> {
    const key = JSON.stringify([node.name, node.nodeIp, node.podCidrs]);
    await this.#inTurn(async () => {
      if (this.#setUpKey === key) return;
      await this.#setUp(node);
      this.#setUpKey = key;
    });
    this.#startPass();
  }

  async attachPod(podUid: string, networkPath: string): Promise<PodNetwork> {
    const { clock, metrics } = this.#options;
    const start = clock.monotonicMs();
    const ips = await this.#mustBeReady().pods.attach(podUid, networkPath);
    metrics?.podAttached?.(clock.monotonicMs() - start);
    await this.#podPortsMoved(podUid);
    return { ips };
  }

  async detachPod(podUid: string): Promise<void> {
    await this.#mustBeReady().pods.detach(podUid);
    await this.#podPortsMoved(podUid);
  }

  async attachedPods(): Promise<readonly string[]> {
    return this.#mustBeReady().pods.attached();
  }

  applyCluster(state: ClusterNetworkState): void {
    this.#wanted = state;
    this.#hostPorts = state.hostPorts;
    this.#startPass();
  }

  resolvConf(namespace: string): string {
    const { clusterDomain: domain } = this.#options;
    return [
      `search ${namespace}.svc.${domain} svc.${domain} ${domain}`,
      `nameserver ${formatAddress(this.#dnsAddress)}`,
      "options ndots:5",
      "",
    ].join("\n");
  }

  async settled(): Promise<void> {
    await this.#turn;
    while (this.#pass !== undefined) await this.#pass;
  }

  async tearDown(): Promise<void> {
    this.#stop.abort(new Error("the network is torn down"));
    await this.#pass?.catch(() => {});
    await this.#inTurn(async () => {
      const { launcher, stateDir } = this.#options;
      await this.#dns.close();
      await this.#healthChecks[Symbol.asyncDispose]();
      // Also what an earlier agent made and this one never set up.
      await removeNodeLinks({ launcher, stateDir, prefix: this.#settings.prefix });
      await removeTable(this.#options.nft, this.#settings.prefix);
      this.#ready = undefined;
      this.#setUpKey = "";
    });
    this.#listenTimer?.cancel();
  }

  /** Lets go: links and rules stay, for the containers that run on and the next agent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the network is closed"));
    this.#listenTimer?.cancel();
    await this.#pass?.catch(() => {});
    await this.#turn;
    await this.#dns.close();
    await this.#healthChecks[Symbol.asyncDispose]();
  }

  async #setUp(node: { readonly name: string; readonly nodeIp: string; readonly podCidrs: readonly string[] }) {
    const { launcher, stateDir } = this.#options;
    const { prefix, serviceRange } = this.#settings;
    const links = await ensureNodeLinks(
      {
        launcher,
        stateDir,
        prefix,
        serviceRange,
        dnsAddress: this.#dnsAddress,
        backend: this.#options.backend ?? "auto",
        vni: this.#options.vni ?? 28257,
        vxlanPort: this.#options.vxlanPort ?? 8472,
      },
      node,
    );
    const { bridgeIndex, bridgeName, mtu, underlay } = links;
    const podOptions = { launcher, bridgeIndex, bridgeName, mtu, podRanges: underlay.podRanges };
    const before = this.#ready;
    const pods = before?.pods ?? (await PodLinks.open(podOptions, links.links));
    pods.reconfigure(podOptions);
    const tableOptions = this.#tableOptions(links);
    let table = before?.table;
    if (table === undefined || before?.nodeName !== node.name) table = this.#newTable(tableOptions, node.name);
    table.reconfigure(tableOptions);
    // What the kernel has is read again: the vxlan was made anew, and an earlier agent may have left routes.
    const peers = await readPeers(launcher, { bridgeIndex, vxlanIndex: underlay.vxlanIndex });
    this.#ready = { nodeName: node.name, links, pods, table, peers };
    await this.#listen();
    // Pods need the way out before the first cluster state is known; of services, an earlier agent's rules go on meanwhile.
    if (before === undefined && this.#wanted === undefined) await table.applyIfAbsent();
  }

  #newTable(table: TableOptions, nodeName: string): ServiceTable {
    const { launcher, nft, clock, log, metrics } = this.#options;
    const onApplied = (applied: AppliedRules) => metrics?.rulesApplied?.(applied);
    const onUdpLost = (endpoints: readonly UdpEndpoint[]) => forgetUdp(launcher, endpoints);
    return new ServiceTable({ nft, clock, log, onApplied, onUdpLost }, table, nodeName);
  }

  #tableOptions({ underlay }: NodeLinksState): TableOptions {
    const { prefix, clusterRanges, serviceRange } = this.#settings;
    return {
      table: prefix,
      bridgeName: bridgeNameOf(prefix),
      podRanges: underlay.podRanges,
      gateways: underlay.gateways,
      clusterRanges,
      serviceRange,
      dnsAddress: this.#dnsAddress,
    };
  }

  // A port 53 that another program holds must not keep the node from running pods.
  async #listen(): Promise<void> {
    this.#listenTimer?.cancel();
    const addresses = [this.#dnsAddress, ...(this.#ready?.links.underlay.gateways ?? [])].map(formatAddress);
    try {
      await this.#dns.listen(addresses);
    } catch (error) {
      this.#options.log.error({ error, addresses }, "cannot listen for DNS; trying again");
      this.#listenTimer = this.#options.clock.after(retryMs, () => {
        if (!this.#stop.signal.aborted) void this.#inTurn(() => this.#listen());
      });
    }
  }

  #startPass(): void {
    if (this.#pass !== undefined || this.#wanted === undefined || this.#ready === undefined) return;
    if (this.#stop.signal.aborted) return;
    this.#pass = this.#passes().finally(() => {
      this.#pass = undefined;
    });
  }

  // Applies the newest state until there is no newer one.
  async #passes(): Promise<void> {
    const { clock, log, metrics } = this.#options;
    const { signal } = this.#stop;
    while (this.#wanted !== undefined && !signal.aborted) {
      const state = this.#wanted;
      this.#wanted = undefined;
      let waitMs = passGapMs;
      try {
        const start = clock.monotonicMs();
        await this.#inTurn(() => this.#apply(state));
        metrics?.stateApplied?.(clock.monotonicMs() - start);
      } catch (error) {
        log.error({ error }, "cannot apply the cluster's network; trying again");
        metrics?.applyFailed?.();
        this.#wanted ??= state;
        waitMs = retryMs;
      }
      if (this.#wanted !== undefined || waitMs === retryMs) await sleep(clock, waitMs, signal).catch(() => {});
    }
  }

  async #apply(state: ClusterNetworkState): Promise<void> {
    const ready = this.#mustBeReady();
    this.#index = indexCluster(state, this.#index);
    this.#names = clusterNames(this.#index, this.#options.clusterDomain);
    const peers = planPeers(state.nodes.flatMap(peerOf), ready.links.underlay);
    try {
      await perform(this.#options.launcher, peerSteps(ready.peers, peers));
      ready.peers = peers;
    } catch (error) {
      const { bridgeIndex, underlay } = ready.links;
      ready.peers = await readPeers(this.#options.launcher, { bridgeIndex, vxlanIndex: underlay.vxlanIndex });
      throw error;
    }
    const own = state.nodes.find(({ metadata }) => metadata?.name === ready.nodeName);
    ready.table.setZone(own?.metadata?.labels?.[zoneLabel] ?? "");
    await this.#applyRules(ready);
    this.#healthChecks.apply(this.#index, ready.nodeName);
  }

  async #applyRules({ table, pods }: Ready): Promise<void> {
    this.#podPorts = indexHostPorts(this.#hostPorts, (uid) => pods.addressesOf(uid), this.#podPorts);
    await table.apply(this.#index, this.#podPorts);
  }

  // A pod's host ports lead to its address, which the pod has got or given back.
  async #podPortsMoved(podUid: string): Promise<void> {
    if (!this.#hostPorts.some((port) => port.podUid === podUid)) return;
    await this.#inTurn(() => this.#applyRules(this.#mustBeReady()));
  }

  #mustBeReady(): Ready {
    if (this.#ready === undefined) throw new Error("the node's network is not set up yet");
    return this.#ready;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run, run);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #upstreamSource(): () => readonly string[] {
    const { upstreams, clock } = this.#options;
    if (upstreams !== undefined) return () => upstreams;
    let [found, untilMs]: [readonly string[], number] = [[], Number.NEGATIVE_INFINITY];
    return () => {
      if (clock.monotonicMs() < untilMs) return found;
      untilMs = clock.monotonicMs() + resolvConfMs;
      try {
        // A node that asks itself would ask for ever.
        found = nameservers(readFileSync("/etc/resolv.conf", "utf8")).filter((server) => !this.#isOwn(server));
      } catch {
        found = [];
      }
      return found;
    };
  }

  #isOwn(server: string): boolean {
    const address = parseAddress(server);
    const own = [this.#dnsAddress, ...(this.#ready?.links.underlay.gateways ?? [])];
    return address !== undefined && own.some(({ value }) => value === address.value);
  }
}

/** What matters of a Node here; nothing while it has no address or range. */
function peerOf(node: Node): readonly PeerNode[] {
  const name = node.metadata?.name ?? "";
  const ip = node.status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
  const podCidrs = node.spec?.podCIDRs ?? (node.spec?.podCIDR === undefined ? [] : [node.spec.podCIDR]);
  return ip === undefined || podCidrs.length === 0 ? [] : [{ name, ip, podCidrs }];
}

function rangeOf(text: string, what: string): Range {
  const range = parseRange(text);
  if (range === undefined)
    throw new Error(`${what} ${JSON.stringify(text)} is not an address range such as 10.0.0.0/16`);
  return range;
}
