// A container as `inspect` and `ps` show it. Pure.
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../runtime/defaults.ts";
import { badRequest } from "../http/problem.ts";
import type { Filters } from "../http/query.ts";
import { anyOf, labelsFit } from "../http/query.ts";
import { parseLink } from "./links.ts";
import type { ContainerRecord, Endpoint, MountPoint, PortMap, PublishedPort } from "./record.ts";
import { type Live, stateName, statusText, timeText } from "./status-text.ts";

export interface InspectContext {
  readonly live: Live;
  readonly nowMs: number;
  readonly folder: string;
  readonly logPath: string;
  readonly networkName: (id: string) => string | undefined;
}

export function inspectContainer(record: ContainerRecord, context: InspectContext): unknown {
  const { config, hostConfig } = record;
  const [Path = "", ...Args] = [...config.Entrypoint, ...config.Cmd];
  return {
    Id: record.id,
    Created: timeText(record.createdAtMs),
    Path,
    Args,
    State: inspectState(record, context.live),
    Image: record.imageId,
    ResolvConfPath: `${context.folder}/resolv.conf`,
    HostnamePath: `${context.folder}/hostname`,
    HostsPath: `${context.folder}/hosts`,
    LogPath: context.logPath,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: "overlay2",
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: context.live.execIds.length === 0 ? null : context.live.execIds,
    HostConfig: { ...hostConfig, ...resourcesOf(record) },
    GraphDriver: { Name: "overlay2", Data: {} },
    // Those of --tmpfs are shown among the options alone.
    Mounts: record.mounts.filter(({ Destination }) => !Object.hasOwn(hostConfig.Tmpfs, Destination)).map(mountPoint),
    Config: {
      ...config,
      ExposedPorts: keysOrNothing(config.ExposedPorts),
      Volumes: keysOrNothing(config.Volumes) ?? null,
      Hostname: config.Hostname,
      Entrypoint: config.Entrypoint.length === 0 ? null : config.Entrypoint,
      OnBuild: null,
    },
    NetworkSettings: {
      Bridge: "",
      SandboxID: record.phase === "running" ? record.id : "",
      SandboxKey: "",
      Ports: portMap(record),
      ...flatEndpoint(record.endpoints["bridge"]),
      Networks: endpoints(record),
    },
  };
}

// Fields that clients look for, of options that are refused or only warned about.
function resourcesOf(record: ContainerRecord): Readonly<Record<string, unknown>> {
  const { hostConfig } = record;
  return {
    PidsLimit: hostConfig.PidsLimit === 0 ? null : hostConfig.PidsLimit,
    CgroupnsMode: hostConfig.CgroupnsMode || "private",
    IpcMode: hostConfig.IpcMode || "private",
    CgroupParent: "",
    CpusetCpus: hostConfig.CpusetCpus ?? "",
    CpusetMems: hostConfig.CpusetMems ?? "",
    BlkioWeight: hostConfig.BlkioWeight ?? 0,
    BlkioWeightDevice: hostConfig.BlkioWeightDevice ?? null,
    BlkioDeviceReadBps: hostConfig.BlkioDeviceReadBps ?? null,
    BlkioDeviceWriteBps: hostConfig.BlkioDeviceWriteBps ?? null,
    BlkioDeviceReadIOps: hostConfig.BlkioDeviceReadIOps ?? null,
    BlkioDeviceWriteIOps: hostConfig.BlkioDeviceWriteIOps ?? null,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    OomKillDisable: hostConfig.OomKillDisable ?? false,
    MemorySwappiness: hostConfig.MemorySwappiness ?? null,
    DeviceCgroupRules: hostConfig.DeviceCgroupRules?.length ? hostConfig.DeviceCgroupRules : null,
    DeviceRequests: null,
    Links: hostConfig.Links?.length ? hostConfig.Links.map((link) => shownLink(record, link)) : null,
    VolumeDriver: "",
    Cgroup: "",
    Runtime: "naru",
    Isolation: "",
    MaskedPaths: hostConfig.Privileged ? null : (hostConfig.MaskedPaths ?? defaultMaskedPaths),
    ReadonlyPaths: hostConfig.Privileged ? null : (hostConfig.ReadonlyPaths ?? defaultReadonlyPaths),
    Binds: hostConfig.Binds.length === 0 ? null : hostConfig.Binds,
  };
}

export function inspectState(record: ContainerRecord, live: Live): Readonly<Record<string, unknown>> {
  const Status = stateName(record, live);
  const Running = Status === "running" || Status === "paused" || Status === "restarting";
  return {
    Status,
    Running,
    Paused: Status === "paused",
    Restarting: Status === "restarting",
    OOMKilled: record.oomKilled,
    Dead: record.phase === "dead",
    Pid: Running ? live.pid : 0,
    ExitCode: record.exitCode,
    Error: record.error,
    StartedAt: timeText(record.startedAtMs),
    FinishedAt: timeText(record.finishedAtMs),
    ...(live.health === undefined ? {} : { Health: live.health }),
  };
}

/** A line of `ps`. */
export function summarizeContainer(
  record: ContainerRecord,
  { live, nowMs, size }: Pick<InspectContext, "live" | "nowMs"> & { readonly size: object | undefined },
): Readonly<Record<string, unknown>> {
  const { config, hostConfig } = record;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: config.Image,
    ImageID: record.imageId,
    Command: [...config.Entrypoint, ...config.Cmd].map(quoteWord).join(" "),
    Created: Math.floor(record.createdAtMs / 1000),
    Ports: portList(record),
    ...size,
    Labels: config.Labels,
    State: stateName(record, live),
    Status: statusText(record, live, nowMs),
    HostConfig: {
      NetworkMode: hostConfig.NetworkMode,
      ...(Object.keys(hostConfig.Annotations).length === 0 ? {} : { Annotations: hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: endpoints(record) },
    Mounts: record.mounts.filter(({ Type }) => Type !== "tmpfs").map(mountPoint),
    Health: { Status: live.health?.Status ?? "none", FailingStreak: live.health?.FailingStreak ?? 0 },
  };
}

export const listFilters = [
  ...["ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network"],
  ...["publish", "since", "status", "volume"],
];

export interface FilterContext {
  readonly live: Live;
  /** Of the containers that "before" and "since" name. */
  readonly createdAtMs: (name: string) => number;
  /** Whether the container's image is this one or made from it. */
  readonly isAncestor: (name: string) => boolean;
}

const stateNames = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];

/** Throws for values that no container can have. */
export function checkContainerFilters(filters: Filters): void {
  const unknown = (filters.get("status") ?? []).find((value) => !stateNames.includes(value));
  if (unknown !== undefined) throw badRequest(`invalid filter 'status=${unknown}': there are ${stateNames.join(", ")}`);
}

export function containerFits(record: ContainerRecord, filters: Filters, context: FilterContext): boolean {
  const { live } = context;
  const is = (name: string, fits: (value: string) => boolean) => anyOf(filters, name, fits);
  return (
    labelsFit(filters, record.config.Labels) &&
    is("id", (value) => record.id.startsWith(value)) &&
    is("name", (value) => matches(value, record.name)) &&
    is("status", (value) => stateName(record, live) === value) &&
    is("exited", (value) => record.phase === "exited" && record.startedAtMs > 0 && record.exitCode === Number(value)) &&
    is("health", (value) => (live.health?.Status ?? "none") === value) &&
    is("network", (value) =>
      Object.entries(record.endpoints).some(([name, { networkId }]) => name === value || networkId.startsWith(value)),
    ) &&
    is("volume", (value) => record.mounts.some(({ Name, Destination }) => Name === value || Destination === value)) &&
    is("publish", (value) => record.ports.some(({ hostPort, protocol }) => portFits(value, hostPort, protocol))) &&
    is("expose", (value) =>
      record.config.ExposedPorts.some((key) => portFits(value, Number(key.split("/")[0]), key.split("/")[1] ?? "")),
    ) &&
    is("before", (value) => record.createdAtMs < context.createdAtMs(value)) &&
    is("since", (value) => record.createdAtMs > context.createdAtMs(value)) &&
    is("ancestor", context.isAncestor) &&
    is("is-task", (value) => value === "false")
  );
}

function matches(pattern: string, name: string): boolean {
  try {
    // Users write it with the slash of the API, too.
    return new RegExp(pattern).test(name) || new RegExp(pattern).test(`/${name}`);
  } catch {
    return name.includes(pattern);
  }
}

function portFits(text: string, port: number, protocol: string): boolean {
  const [, first = "", last = first, wanted = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(text) ?? [];
  return first !== "" && port >= Number(first) && port <= Number(last) && protocol === wanted;
}

function portList(record: ContainerRecord): readonly unknown[] {
  const published = record.phase === "running" ? record.ports : [];
  const shown = new Set(published.map((port) => `${port.containerPort}/${port.protocol}`));
  return [
    ...published.flatMap(bothFamilies).map(({ containerPort, protocol, hostIp, hostPort }) => ({
      IP: hostIp,
      PrivatePort: containerPort,
      PublicPort: hostPort,
      Type: protocol,
    })),
    ...(record.phase === "running" ? record.config.ExposedPorts : [])
      .filter((key) => !shown.has(key))
      .map((key) => ({ PrivatePort: Number(key.split("/")[0]), Type: key.split("/")[1] })),
  ];
}

function bothFamilies(port: PublishedPort): readonly PublishedPort[] {
  return port.alsoIpv6 === true ? [port, { ...port, hostIp: "::" }] : [port];
}

/** As NetworkSettings shows it: what is only exposed has null. */
export function portMap(record: ContainerRecord): Readonly<Record<string, unknown>> {
  if (record.phase !== "running") return {};
  const map: Record<string, PortMap[string] | null> = {};
  for (const key of record.config.ExposedPorts) map[key] = null;
  for (const { containerPort, protocol, hostIp, hostPort } of record.ports.flatMap(bothFamilies)) {
    const key = `${containerPort}/${protocol}`;
    map[key] = [...(map[key] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  }
  return map;
}

function endpoints(record: ContainerRecord): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(record.endpoints).map(([name, endpoint]) => [name, endpointSettings(record, name, endpoint)]),
  );
}

export function endpointSettings(record: ContainerRecord, name: string, endpoint: Endpoint): unknown {
  const { live, wantedIp, wantedIpv6 = "" } = endpoint;
  const own = ["bridge", "host", "none"].includes(name);
  return {
    IPAMConfig:
      wantedIp === "" && wantedIpv6 === ""
        ? null
        : {
            ...(wantedIp === "" ? {} : { IPv4Address: wantedIp }),
            ...(wantedIpv6 === "" ? {} : { IPv6Address: wantedIpv6 }),
          },
    Links: endpoint.links ?? null,
    Aliases: endpoint.aliases.length === 0 ? null : endpoint.aliases,
    MacAddress: live?.mac ?? endpoint.wantedMac,
    DriverOpts: Object.keys(endpoint.driverOpts).length === 0 ? null : endpoint.driverOpts,
    GwPriority: endpoint.gwPriority,
    NetworkID: endpoint.networkId,
    EndpointID: live?.endpointId ?? "",
    Gateway: live?.gateway ?? "",
    IPAddress: live?.ip ?? "",
    IPPrefixLen: live?.prefix ?? 0,
    IPv6Gateway: live?.ipv6?.gateway ?? "",
    GlobalIPv6Address: live?.ipv6?.ip ?? "",
    GlobalIPv6PrefixLen: live?.ipv6?.prefix ?? 0,
    DNSNames: own ? null : [...new Set([record.name, ...endpoint.aliases, record.id.slice(0, 12)])],
  };
}

function shownLink({ name }: ContainerRecord, text: string): string {
  const { container, alias } = parseLink(text);
  return `/${container}:/${name}/${alias}`;
}

// Older clients look for the default network's address here.
function flatEndpoint(endpoint: Endpoint | undefined): Readonly<Record<string, unknown>> {
  const live = endpoint?.live;
  return {
    EndpointID: live?.endpointId ?? "",
    Gateway: live?.gateway ?? "",
    IPAddress: live?.ip ?? "",
    IPPrefixLen: live?.prefix ?? 0,
    MacAddress: live?.mac ?? "",
  };
}

function mountPoint(mount: MountPoint): unknown {
  const { Type, Name, Source, Destination, Mode, RW, Propagation } = mount;
  const volume = Type === "volume" ? { Name, Driver: "local" } : {};
  return { Type, ...volume, Source, Destination, Mode, RW, Propagation };
}

function keysOrNothing(keys: readonly string[]): Readonly<Record<string, object>> | undefined {
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map((key) => [key, {}]));
}

function quoteWord(word: string): string {
  return /^[^\s'"]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
