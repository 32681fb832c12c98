// Brings a container from its record to its process: root, namespaces, links, files in /etc, then the runtime.
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { hostname as nodeHostname } from "node:os";
import { join } from "node:path";
import type { WritableLayer } from "../../images/images.ts";
import {
  type AllowedDevice,
  type ContainerSpec,
  type Namespace,
  ownSandboxPrefix,
  type Sandbox,
} from "../../runtime/runtime.ts";
import { conflict, DockerProblem } from "../http/problem.ts";
import type { NetworkRecord } from "../networks/record.ts";
import { deviceNumbers, rareLimits } from "./block-devices.ts";
import { hostsFile, parseResolv, resolvFile } from "./etc-files.ts";
import { linkVariables, parseLink } from "./links.ts";
import { findByName } from "./names.ts";
import type { DockerParts } from "./parts.ts";
import { planSpec } from "./plan-spec.ts";
import type { ContainerRecord, Endpoint } from "./record.ts";

export function sandboxId(containerId: string): string {
  return `${ownSandboxPrefix}${containerId}`;
}

export function logPathOf({ store }: Pick<DockerParts, "store">, record: ContainerRecord): string {
  return join(store.folder(record.id), "log");
}

/** Takes back what a start made; again does no harm. */
export async function releaseStart(
  { runtime, networks, volumes }: DockerParts,
  record: ContainerRecord,
): Promise<ContainerRecord> {
  await volumes.release(volumeNames(record), record.id);
  await runtime.removeSandbox(sandboxId(record.id));
  networks.unpublish(record.id);
  for (const { networkId, live } of Object.values(record.endpoints))
    if (live !== undefined) networks.release(networkId, live);
  return { ...record, endpoints: withoutLive(record.endpoints), ports: [] };
}

/** Everything but the process; gives the record with its live endpoints and ports. What was made is taken back when a step fails. */
export async function prepareStart(parts: DockerParts, record: ContainerRecord): Promise<ContainerRecord> {
  const { runtime, images } = parts;
  const image = await images.find(record.imageId);
  if (image === undefined) throw conflict(`image ${record.imageId} of the container is not here any more`);
  const [layering, linking] = await Promise.allSettled([
    images.prepareLayer(record.id, image, { durable: true }),
    linkContainer(parts, record),
  ]);
  if (linking.status === "rejected") throw linking.reason;
  const linked = linking.value;
  try {
    for (const name of volumeNames(record)) await parts.volumes.mount(name, record.id);
    if (layering.status === "rejected") throw layering.reason;
    const spec = await makeSpec(parts, linked, layering.value);
    await runtime.remove(record.id);
    await runtime.create(spec);
    return linked.live;
  } catch (error) {
    await releaseStart(parts, linked.live);
    throw error;
  }
}

function volumeNames({ mounts }: ContainerRecord): readonly string[] {
  return mounts.flatMap(({ Type, Name }) => (Type === "volume" ? [Name] : []));
}

async function makeSpec(parts: DockerParts, linked: Linked, layer: WritableLayer): Promise<ContainerSpec> {
  const { live: record, sandbox, network } = linked;
  const { config, hostConfig } = record;
  const files = writeEtcFiles(parts, record, network);
  const { home, ...user } = await resolveUser(layer, config.User);
  const groups = await Promise.all(
    hostConfig.GroupAdd.map(async (group) => (await layer.resolveUser(`0:${group}`)).gid),
  );
  return planSpec({
    record,
    rootfs: layer.rootfs,
    user: { ...user, additionalGids: [...new Set([...user.additionalGids, ...groups])] },
    home,
    hostname: config.Hostname === "" ? nodeHostname() : config.Hostname,
    namespaces: await namespaces(parts, record, sandbox),
    files,
    devices: await devices(record),
    rare: await rareLimits(hostConfig),
    logPath: hostConfig.LogConfig.Type === "none" ? undefined : logPathOf(parts, record),
    initPath: parts.initPath,
    nodeIpc: ["/dev/shm", "/dev/mqueue"].filter((path) => existsSync(path)),
    pidsDefault: pidsDefault(),
    linked: linkedVariables(parts, record),
  });
}

/** Half of what the node can have: a container that forks without end takes no other one's. */
function pidsDefault(): number {
  const [pids, threads] = ["pid_max", "threads-max"].map((name) => Number(readNodeFile(`/proc/sys/kernel/${name}`)));
  return Math.max(1, Math.floor(Math.min(pids || 32_768, threads || 32_768) / 2));
}

/** Of those that it is linked with, who must run. */
function linkedVariables({ store }: DockerParts, { name, hostConfig }: ContainerRecord): readonly string[] {
  return (hostConfig.Links ?? []).map(parseLink).flatMap((link) => {
    const other = findByName(store.list(), link.container, "container");
    if (other.phase !== "running")
      throw conflict(`Cannot link to a non running container: /${other.name} AS /${name}/${link.alias}`);
    return linkVariables(name, link, other);
  });
}

/** A user of the image, and where that user is at home. */
export async function resolveUser(
  layer: WritableLayer,
  text: string,
): Promise<ContainerSpec["user"] & { readonly home: string }> {
  const [user, home] = await Promise.all([layer.resolveUser(text), layer.homeOf(text)]);
  return { ...user, home };
}

interface Linked {
  readonly sandbox: Sandbox;
  /** The first one, if it has addresses. */
  readonly network: NetworkRecord | undefined;
  readonly live: ContainerRecord;
}

async function linkContainer(parts: DockerParts, record: ContainerRecord): Promise<Linked> {
  const { runtime, networks } = parts;
  const { NetworkMode, UTSMode } = record.hostConfig;
  const hostNetwork = NetworkMode === "host" || NetworkMode.startsWith("container:");
  const { Hostname } = record.config;
  const hostname = Hostname === "" || UTSMode === "host" ? nodeHostname() : Hostname;
  const bridged = bridgedEndpoints(parts, record);
  const out = wayOut(bridged);
  let live = record;
  try {
    const sandbox = await runtime.createSandbox(sandboxId(record.id), { hostname, hostNetwork, sysctls: {} });
    for (const [number, { name, endpoint, network }] of bridged.entries()) {
      const where = { containerId: record.id, netns: sandbox.networkPath, number, isDefault: number === out };
      const linked = { ...endpoint, live: await networks.attach(network, endpoint, where) };
      live = { ...live, endpoints: { ...live.endpoints, [name]: linked } };
    }
    const network = bridged[Math.max(0, out)]?.network;
    const ports = network === undefined || network.internal ? [] : await networks.publish(live, network);
    return { sandbox, network, live: { ...live, ports } };
  } catch (error) {
    await releaseStart(parts, live);
    throw error;
  }
}

function bridgedEndpoints({ networks }: DockerParts, record: ContainerRecord): readonly BridgedEndpoint[] {
  return Object.entries(record.endpoints).flatMap(([name, endpoint]) => {
    const network = networks.list().find(({ id }) => id === endpoint.networkId);
    if (network === undefined) throw new DockerProblem(404, `network ${name} not found`);
    return network.driver === "bridge" ? [{ name, endpoint, network }] : [];
  });
}

interface BridgedEndpoint {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly network: NetworkRecord;
}

/** The network that the container's default route leads over: the highest priority wins, then the first asked for; -1: none. */
export function wayOut(bridged: readonly { readonly endpoint: Endpoint; readonly network: NetworkRecord }[]): number {
  const candidates = bridged.map((one, index) => ({ ...one, index })).filter(({ network }) => !network.internal);
  return candidates.toSorted((a, b) => b.endpoint.gwPriority - a.endpoint.gwPriority)[0]?.index ?? -1;
}

async function namespaces(
  parts: DockerParts,
  record: ContainerRecord,
  sandbox: Sandbox,
): Promise<readonly Namespace[]> {
  const { NetworkMode, PidMode, IpcMode, UTSMode, CgroupnsMode } = record.hostConfig;
  const pid = PidMode.startsWith("container:") ? (await processOf(parts, PidMode)).pid : undefined;
  return [
    { type: "mount" },
    ...(PidMode === "host"
      ? []
      : [{ type: "pid" as const, ...(pid === undefined ? {} : { path: `/proc/${pid}/ns/pid` }) }]),
    ...(CgroupnsMode === "host" ? [] : [{ type: "cgroup" as const }]),
    ...(await networkNamespace(parts, NetworkMode, sandbox)),
    ...(IpcMode === "host" ? [] : [{ type: "ipc" as const, path: sandbox.ipcPath }]),
    ...(UTSMode === "host" ? [] : [{ type: "uts" as const, path: sandbox.utsPath }]),
  ];
}

async function networkNamespace(parts: DockerParts, mode: string, sandbox: Sandbox): Promise<readonly Namespace[]> {
  if (mode === "host") return [];
  if (!mode.startsWith("container:")) return [{ type: "network", path: sandbox.networkPath }];
  const { pid } = await processOf(parts, mode);
  return [{ type: "network", path: `/proc/${pid}/ns/net` }];
}

/** The first process of the container that a mode such as "container:web" names. */
async function processOf({ store, runtime }: DockerParts, mode: string): Promise<{ readonly pid: number }> {
  const { id, name } = findByName(store.list(), mode.slice("container:".length), "container");
  const running = (await runtime.list()).find((one) => one.id === id)?.state;
  if (running?.status !== "running") throw conflict(`cannot join namespaces of container ${name}: it is not running`);
  return running;
}

function writeEtcFiles(
  parts: DockerParts,
  record: ContainerRecord,
  network: NetworkRecord | undefined,
): Record<"hosts" | "hostname" | "resolv.conf", string> {
  const { store, nodeIp } = parts;
  const { NetworkMode, ExtraHosts, Dns, DnsSearch, DnsOptions } = record.hostConfig;
  const path = (name: string) => join(store.folder(record.id), name);
  const made = { hosts: path("hosts"), hostname: path("hostname"), "resolv.conf": path("resolv.conf") };
  if (NetworkMode.startsWith("container:")) {
    const other = findByName(store.list(), NetworkMode.slice("container:".length), "container");
    const theirs = (name: string) => join(store.folder(other.id), name);
    return { hosts: theirs("hosts"), hostname: theirs("hostname"), "resolv.conf": theirs("resolv.conf") };
  }
  const hostname = record.config.Hostname === "" ? nodeHostname() : record.config.Hostname;
  const ips = Object.values(record.endpoints).flatMap(({ live }) =>
    live === undefined ? [] : [live.ip, live.ipv6?.ip ?? []].flat(),
  );
  const nodesOwn = NetworkMode === "host" ? readNodeFile("/etc/hosts") : undefined;
  const hosts = hostsFile({
    hostname,
    domainname: record.config.Domainname,
    ips,
    extraHosts: ExtraHosts,
    hostGateway: network === undefined || network.gateway === "" ? nodeIp : network.gateway,
  });
  writeFileSync(made.hosts, nodesOwn === undefined || ExtraHosts.length > 0 ? hosts : nodesOwn, { mode: 0o644 });
  writeFileSync(made.hostname, `${hostname}\n`, { mode: 0o644 });
  const nodes = parseResolv(readNodeFile("/etc/resolv.conf"));
  // A server on the node's loopback is the container's, too, when it uses the node's network.
  const fromNode = NetworkMode === "host" ? readNodeFile("/etc/resolv.conf") : undefined;
  const resolv = resolvFile({
    // The network's own server knows the neighbours' names, and asks those of --dns about the rest.
    servers: network !== undefined ? [network.gateway] : Dns.length > 0 ? Dns : nodes.servers,
    search: DnsSearch.length > 0 ? DnsSearch : nodes.search,
    options: DnsOptions.length > 0 ? DnsOptions : nodes.options,
  });
  const isPlain = Dns.length + DnsSearch.length + DnsOptions.length === 0;
  writeFileSync(made["resolv.conf"], fromNode !== undefined && isPlain ? fromNode : resolv, { mode: 0o644 });
  return made;
}

function readNodeFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

async function devices({ hostConfig }: ContainerRecord): Promise<readonly AllowedDevice[]> {
  const found = await Promise.all(
    hostConfig.Devices.map(({ PathOnHost, PathInContainer, CgroupPermissions }) =>
      devicesAt(PathOnHost, PathInContainer, CgroupPermissions),
    ),
  );
  return found.flat();
}

/** The device, or all that a folder such as /dev/snd holds. */
async function devicesAt(from: string, to: string, access: string): Promise<readonly AllowedDevice[]> {
  const info = await stat(from).catch((error: Error) => {
    throw new DockerProblem(
      500,
      `error gathering device information while adding custom device ${JSON.stringify(from)}: ${error.message}`,
    );
  });
  if (info.isDirectory()) {
    const names = await readdir(from);
    const below = names.filter((name) => isDevice(join(from, name)));
    return (await Promise.all(below.map((name) => devicesAt(join(from, name), join(to, name), access)))).flat();
  }
  if (!info.isCharacterDevice() && !info.isBlockDevice())
    throw new DockerProblem(
      500,
      `error gathering device information while adding custom device ${JSON.stringify(from)}: not a device node`,
    );
  return [
    { path: to, type: info.isBlockDevice() ? "b" : "c", ...deviceNumbers(info.rdev), mode: info.mode & 0o777, access },
  ];
}

function isDevice(path: string): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return info?.isCharacterDevice() === true || info?.isBlockDevice() === true || info?.isDirectory() === true;
}

export function withoutLive(endpoints: ContainerRecord["endpoints"]): ContainerRecord["endpoints"] {
  return Object.fromEntries(
    Object.entries(endpoints).map(([name, endpoint]) => [name, { ...endpoint, live: undefined }]),
  );
}
