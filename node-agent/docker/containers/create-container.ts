// Makes a container: checks what is asked for, writes it down, prepares its files. Nothing runs yet.
import { existsSync, mkdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Image, ImageConfig } from "../../images/images.ts";
import { readMountinfo } from "../../runtime/cgroup-files.ts";
import { propagationProblem } from "../../volumes/propagation.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, type DockerProblem, messageOf, notFound } from "../http/problem.ts";
import { planPorts } from "../networks/ports.ts";
import { hasNames } from "../networks/record.ts";
import { rareLimits } from "./block-devices.ts";
import { copyUp } from "./copy-up.ts";
import { parseLink } from "./links.ts";
import { logLimitsOf } from "./log-options.ts";
import { checkName, findByName, makeId, makeName } from "./names.ts";
import { type ImageDefaults, parseCreate } from "./parse-config.ts";
import type { DockerParts } from "./parts.ts";
import { planMounts, type WantedMount } from "./plan-mounts.ts";
import { commandLine } from "./plan-spec.ts";
import { checkProcessors, rareWarnings } from "./rare-limits.ts";
import type { ContainerConfig, ContainerRecord, Endpoint, HostConfig, MountPoint } from "./record.ts";
import { confinement } from "./security.ts";

export interface Created {
  readonly record: ContainerRecord;
  readonly warnings: readonly string[];
}

export async function createContainer(parts: DockerParts, body: JsonObject, wantedName: string): Promise<Created> {
  const { images, store, events, clock, random } = parts;
  const reference = body.text("Image");
  if (reference === "") throw badRequest("no image is named: Image is empty");
  const image = await images.find(reference);
  if (image === undefined) throw notFound(`No such image: ${withTag(reference)}`);
  const { config: parsed, hostConfig, ...read } = parseCreate(body, imageDefaults(image.config));
  const warnings = [...read.warnings, ...rareWarnings(hostConfig, parts.cgroupVersion)];
  const name = wantedName === "" ? makeName(random, (made) => store.isTaken(made)) : checkName(wantedName);
  const id = makeId(random);
  const config: ContainerConfig = {
    ...parsed,
    Hostname: parsed.Hostname === "" ? hostnameDefault(hostConfig, id) : parsed.Hostname,
  };
  checkModes(parts, hostConfig);
  commandLine({ config });
  if (config.WorkingDir !== "" && !config.WorkingDir.startsWith("/"))
    throw badRequest(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  confinement(hostConfig);
  logLimitsOf(hostConfig);
  checkProcessors(hostConfig, availableParallelism());
  await rareLimits(hostConfig);
  const endpoints = planEndpoints(parts, body, hostConfig, { id, name, mac: body.text("MacAddress") });
  checkLinks(parts, hostConfig);
  const network = parts.networks.list().find(({ id }) => Object.values(endpoints)[0]?.networkId === id);
  planPorts({ config, hostConfig }, network ?? { bindingIp: "0.0.0.0" });
  const wanted = planMounts(config, hostConfig, inheritedMounts(parts, hostConfig));
  for (const mount of wanted) checkBind(mount);
  const record: ContainerRecord = {
    version: 1,
    id,
    name,
    createdAtMs: clock.now(),
    imageId: image.id,
    config,
    hostConfig,
    mounts: [],
    endpoints,
    ports: [],
    phase: "created",
    paused: false,
    stoppedByUser: false,
    restartCount: 0,
    exitCode: 0,
    error: "",
    oomKilled: false,
    startedAtMs: 0,
    finishedAtMs: 0,
  };
  // Before the first wait, so that it cannot be given twice.
  if (!store.holdName(name)) throw nameTaken(store.list(), name);
  try {
    const made = await prepare(parts, record, image, wanted);
    store.put(made, "durable");
    events.emit("container", "create", id, eventAttributes(made));
    return { record: made, warnings: [...warnings, ...portWarnings(hostConfig)] };
  } catch (error) {
    await images.removeLayer(id);
    throw error;
  } finally {
    store.releaseName(name);
  }
}

export function nameTaken(all: readonly ContainerRecord[], name: string): DockerProblem {
  const other = all.find((one) => one.name === name);
  const owner = other === undefined ? "one that is being made" : `container "${other.id}"`;
  return conflict(
    `Conflict. The container name "/${name}" is already in use by ${owner}. You have to remove (or rename) that container to be able to reuse that name.`,
  );
}

function portWarnings({ NetworkMode, PortBindings }: HostConfig): readonly string[] {
  const discarded = (NetworkMode === "host" || NetworkMode === "none") && Object.keys(PortBindings).length > 0;
  return discarded ? [`Published ports are discarded when using ${NetworkMode} network mode`] : [];
}

/** What events tell of a container. */
export function eventAttributes(
  { config, name }: ContainerRecord,
  more: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  return { ...config.Labels, image: config.Image, name, ...more };
}

async function prepare(
  parts: DockerParts,
  record: ContainerRecord,
  image: Image,
  wanted: readonly WantedMount[],
): Promise<ContainerRecord> {
  const layer = await parts.images.prepareLayer(record.id, image, { durable: true });
  // So that a user who is not there is told of now, not at the start.
  await layer.resolveUser(record.config.User).catch((error: Error) => {
    throw badRequest(`unable to find user ${record.config.User}: ${error.message}`);
  });
  const mounts: MountPoint[] = [];
  for (const mount of wanted) mounts.push(await prepareMount(parts, record, mount));
  return { ...record, mounts };
}

async function prepareMount(parts: DockerParts, record: ContainerRecord, wanted: WantedMount): Promise<MountPoint> {
  const { makeSource, labels, volumeOptions, ...mount } = wanted;
  if (mount.Type === "bind" && makeSource && !existsSync(mount.Source)) mkdirSync(mount.Source, { recursive: true });
  if (mount.Type !== "volume") return mount;
  const { volume, made } = parts.volumes.ensure(mount.Name, { labels, options: volumeOptions });
  if (made) parts.events.emit("volume", "create", volume.name, { driver: "local" });
  const Source = parts.volumes.pathOf(volume.name);
  if (mount.copyUp) {
    try {
      await parts.volumes.mount(volume.name, record.id);
      await copyUp(parts, record.id, { from: mount.Destination, to: Source });
    } finally {
      await parts.volumes.release([volume.name], record.id);
    }
  }
  return { ...mount, Name: volume.name, Source, anonymous: mount.anonymous && made };
}

function checkBind({ Type, Source, makeSource, Propagation }: WantedMount): void {
  if (Type !== "bind") return;
  const [, shares] = /^r?(shared|slave)$/.exec(Propagation) ?? [];
  const problem =
    shares === undefined
      ? undefined
      : propagationProblem(readMountinfo(), Source, shares === "shared" ? "rshared" : "rslave");
  if (problem !== undefined) throw badRequest(problem);
  if (makeSource) return;
  try {
    statSync(Source);
  } catch {
    throw badRequest(`invalid mount config for type "bind": bind source path does not exist: ${Source}`);
  }
}

function inheritedMounts({ store }: DockerParts, { VolumesFrom }: HostConfig): readonly MountPoint[] {
  return VolumesFrom.flatMap((text) => {
    const [, name = text, mode = ""] = /^(.+?)(?::(ro|rw|z|Z))?$/.exec(text) ?? [];
    const { mounts } = refusing(() => findByName(store.list(), name, "container"));
    return mounts
      .filter(({ Type }) => Type !== "tmpfs")
      .map((mount) => ({ ...mount, copyUp: false, RW: mode === "ro" ? false : mount.RW }));
  });
}

function planEndpoints(
  { networks }: DockerParts,
  body: JsonObject,
  { NetworkMode, PortBindings }: HostConfig,
  own: { readonly id: string; readonly name: string; readonly mac: string },
): ContainerRecord["endpoints"] {
  const configs = body.object("NetworkingConfig").object("EndpointsConfig");
  if (NetworkMode.startsWith("container:")) {
    if (Object.keys(PortBindings).length > 0)
      throw badRequest("conflicting options: port publishing and the container type network mode");
    return {};
  }
  // A client takes "not found" for the image's absence.
  const find = (name: string) => refusing(() => networks.find(name === "default" ? "bridge" : name));
  const main = find(NetworkMode);
  const named = configs.keys().map((name) => [find(name), configs.object(name)] as const);
  const all = [
    [main, named.find(([network]) => network.id === main.id)?.[1]] as const,
    ...named.filter(([network]) => network.id !== main.id),
  ];
  if (all.length > 1 && main.driver !== "bridge")
    throw badRequest(`conflicting options: cannot attach both user-defined and ${main.name} network mode`);
  return Object.fromEntries(
    all.map(([network, config]) => {
      const endpoint = parseEndpoint(network.id, config, own);
      networks.checkEndpoint(network, endpoint);
      if (endpoint.aliases.length > 0 && !hasNames(network) && network.driver === "bridge")
        throw badRequest("network-scoped alias is supported only for containers in user defined networks");
      return [network.name, endpoint];
    }),
  );
}

export function parseEndpoint(
  networkId: string,
  config: JsonObject | undefined,
  own: { readonly mac: string },
): Endpoint {
  const links = config?.texts("Links") ?? [];
  for (const link of links) parseLink(link);
  const ipam = config?.object("IPAMConfig");
  if ((ipam?.texts("LinkLocalIPs") ?? []).length > 0)
    throw badRequest(`${ipam?.at("LinkLocalIPs")}: addresses of the link alone are not supported by Naru; use --ip`);
  const [option] = Object.keys(config?.textMap("DriverOpts") ?? {});
  if (option !== undefined)
    throw badRequest(`${config?.at("DriverOpts")}: option ${option} of a container's link is not supported by Naru`);
  const wantedIpv6 = ipam?.text("IPv6Address") ?? "";
  return {
    networkId,
    aliases: config?.texts("Aliases") ?? [],
    wantedIp: ipam?.text("IPv4Address") ?? "",
    ...(wantedIpv6 === "" ? {} : { wantedIpv6 }),
    ...(links.length === 0 ? {} : { links }),
    wantedMac: config?.text("MacAddress") || own.mac,
    driverOpts: config?.textMap("DriverOpts") ?? {},
    gwPriority: config?.number("GwPriority") ?? 0,
    live: undefined,
  };
}

/** Those of the default network; a user-defined network's names may come later. */
function checkLinks({ store }: DockerParts, { Links = [], NetworkMode }: HostConfig): void {
  if (Links.length > 0 && (NetworkMode === "host" || NetworkMode.startsWith("container:")))
    throw badRequest("conflicting options: the container shares another's network, so it cannot have links");
  for (const link of Links) refusing(() => findByName(store.list(), parseLink(link).container, "container"));
}

// Modes that say whose namespaces a container uses.
function checkModes({ store }: DockerParts, host: HostConfig): void {
  for (const mode of [host.NetworkMode, host.PidMode])
    if (mode.startsWith("container:"))
      refusing(() => findByName(store.list(), mode.slice("container:".length), "container"));
  const allowed: readonly (readonly [keyof HostConfig, readonly string[]])[] = [
    ["PidMode", ["", "host", "private"]],
    ["IpcMode", ["", "private", "shareable", "host"]],
    ["UTSMode", ["", "host", "private"]],
    ["CgroupnsMode", ["", "private", "host"]],
    ["UsernsMode", ["", "host"]],
  ];
  for (const [name, modes] of allowed) {
    const mode = String(host[name]);
    if (modes.includes(mode) || (name === "PidMode" && mode.startsWith("container:"))) continue;
    throw badRequest(
      `HostConfig.${name}: ${JSON.stringify(mode)} is not supported by Naru, only ${modes.filter((one) => one !== "").join(", ")}`,
    );
  }
  if (!["json-file", "local", "none"].includes(host.LogConfig.Type))
    throw badRequest(
      `HostConfig.LogConfig: logging driver ${host.LogConfig.Type} is not supported by Naru, only json-file, local and none`,
    );
}

function refusing<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw badRequest(messageOf(error));
  }
}

function hostnameDefault({ NetworkMode, UTSMode }: HostConfig, id: string): string {
  return NetworkMode === "host" || UTSMode === "host" ? "" : id.slice(0, 12);
}

/** What is pulled when nothing more is said. */
function withTag(reference: string): string {
  const last = reference.slice(reference.lastIndexOf("/") + 1);
  return last.includes(":") || reference.includes("@") ? reference : `${reference}:latest`;
}

export function imageDefaults(image: ImageConfig): ImageDefaults {
  const { healthcheck } = image;
  return {
    User: image.user,
    ExposedPorts: image.exposedPorts,
    Env: image.env,
    Cmd: image.cmd,
    Entrypoint: image.entrypoint,
    Volumes: image.volumes,
    WorkingDir: image.workingDir,
    Labels: image.labels,
    StopSignal: image.stopSignal,
    Healthcheck:
      healthcheck === undefined
        ? undefined
        : {
            Test: healthcheck.test,
            Interval: healthcheck.intervalNs ?? 0,
            Timeout: healthcheck.timeoutNs ?? 0,
            StartPeriod: healthcheck.startPeriodNs ?? 0,
            StartInterval: healthcheck.startIntervalNs ?? 0,
            Retries: healthcheck.retries ?? 0,
          },
  };
}
