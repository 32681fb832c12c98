// The body of "create a container", read into what Naru acts on. Options that Naru does not act on are named: refused where the
// container would be another one without them, else a warning. Pure.
import { signalNumber } from "../../../lib/signals.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";
import { parseDriverOptions } from "../volumes/driver-options.ts";
import { parseLink } from "./links.ts";
import { logWarnings } from "./log-options.ts";
import { isPropagation } from "./plan-mounts.ts";
import { parseRareOptions, parseRareUpdate } from "./rare-limits.ts";
import type {
  ContainerConfig,
  DeviceMapping,
  HealthConfig,
  HostConfig,
  Limits,
  MountRequest,
  PortBinding,
  PortMap,
  RestartPolicy,
} from "./record.ts";
import { unsupportedOptions } from "./unsupported-options.ts";

/** What an image brings along; a client's settings replace it or add to it. */
export interface ImageDefaults {
  readonly User: string;
  readonly ExposedPorts: readonly string[];
  readonly Env: readonly string[];
  readonly Cmd: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Volumes: readonly string[];
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly StopSignal: string | undefined;
  readonly Healthcheck: HealthConfig | undefined;
}

export interface Parsed {
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly warnings: readonly string[];
}

export const shmBytesDefault = 64 * 1024 * 1024;

export function parseCreate(body: JsonObject, image: ImageDefaults): Parsed {
  const host = body.object("HostConfig");
  const unsupported = unsupportedOptions(body, host);
  const hostConfig = parseHostConfig(host);
  return { config: parseConfig(body, image), hostConfig, warnings: [...unsupported, ...logWarnings(hostConfig)] };
}

function parseConfig(body: JsonObject, image: ImageDefaults): ContainerConfig {
  const entrypoint = body.optionalTexts("Entrypoint");
  const cmd = body.optionalTexts("Cmd") ?? [];
  // An entrypoint of the client's own leaves the image's arguments behind; [""] stands for none.
  const ownEntrypoint = entrypoint !== undefined && entrypoint.length > 0;
  return {
    Hostname: body.text("Hostname"),
    Domainname: body.text("Domainname"),
    User: body.text("User") === "" ? image.User : body.text("User"),
    AttachStdin: body.flag("AttachStdin"),
    AttachStdout: body.flag("AttachStdout"),
    AttachStderr: body.flag("AttachStderr"),
    ExposedPorts: [...new Set([...image.ExposedPorts, ...body.names("ExposedPorts")].map(portKey))],
    Tty: body.flag("Tty"),
    OpenStdin: body.flag("OpenStdin"),
    StdinOnce: body.flag("StdinOnce"),
    Env: mergeEnv(image.Env, body.texts("Env")),
    Cmd: cmd.length > 0 || ownEntrypoint ? cmd : image.Cmd,
    Healthcheck: mergeHealth(image.Healthcheck, parseHealth(body.optionalObject("Healthcheck"))),
    Image: body.text("Image"),
    Volumes: [...new Set([...image.Volumes, ...body.names("Volumes")])],
    WorkingDir: body.text("WorkingDir") === "" ? image.WorkingDir : body.text("WorkingDir"),
    Entrypoint: ownEntrypoint ? entrypoint.filter((word, i) => i > 0 || word !== "") : image.Entrypoint,
    Labels: { ...image.Labels, ...body.textMap("Labels") },
    StopSignal: parseStopSignal(body.optionalText("StopSignal")) ?? image.StopSignal,
    StopTimeout: body.optionalNumber("StopTimeout"),
  };
}

function parseStopSignal(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (signalNumber(text) === undefined) throw badRequest(`invalid signal: ${text}`);
  return text;
}

/** A name alone takes its variable away. */
function mergeEnv(base: readonly string[], more: readonly string[]): readonly string[] {
  const all = new Map<string, string>();
  for (const entry of [...base, ...more]) {
    const [name = ""] = entry.split("=", 1);
    if (name === "") throw badRequest(`invalid environment variable: ${JSON.stringify(entry)}`);
    if (entry.includes("=")) all.set(name, entry);
    else all.delete(name);
  }
  return [...all.values()];
}

function parseHealth(json: JsonObject | undefined): HealthConfig | undefined {
  if (json === undefined) return undefined;
  const duration = (key: string) => {
    const value = json.number(key);
    if (value !== 0 && value < 1_000_000) throw badRequest(`${json.at(key)} cannot be less than 1ms`);
    return value;
  };
  const Retries = json.number("Retries");
  if (Retries < 0) throw badRequest(`${json.at("Retries")} cannot be negative`);
  const Test = json.texts("Test");
  if (Test.length > 0 && !["NONE", "CMD", "CMD-SHELL"].includes(Test[0] ?? ""))
    throw badRequest(`${json.at("Test")}: begins with NONE, CMD or CMD-SHELL, got ${JSON.stringify(Test[0])}`);
  return {
    Test,
    Interval: duration("Interval"),
    Timeout: duration("Timeout"),
    StartPeriod: duration("StartPeriod"),
    StartInterval: duration("StartInterval"),
    Retries,
  };
}

// What the client leaves open is the image's.
function mergeHealth(image: HealthConfig | undefined, own: HealthConfig | undefined): HealthConfig | undefined {
  if (own === undefined || image === undefined) return own ?? image;
  return {
    Test: own.Test.length > 0 ? own.Test : image.Test,
    Interval: own.Interval || image.Interval,
    Timeout: own.Timeout || image.Timeout,
    StartPeriod: own.StartPeriod || image.StartPeriod,
    StartInterval: own.StartInterval || image.StartInterval,
    Retries: own.Retries || image.Retries,
  };
}

function parseHostConfig(host: JsonObject): HostConfig {
  const shm = host.number("ShmSize");
  if (shm < 0) throw badRequest("SHM size can not be less than 0");
  const log = host.object("LogConfig");
  const mode = host.text("NetworkMode");
  return {
    ...parseLimits(host),
    ...parseRareOptions(host),
    Binds: host.texts("Binds"),
    Mounts: host.objects("Mounts").map(parseMount),
    VolumesFrom: host.texts("VolumesFrom"),
    Tmpfs: host.textMap("Tmpfs"),
    NetworkMode: mode === "" || mode === "default" ? "bridge" : mode,
    Links: host.texts("Links").filter((link) => parseLink(link).alias !== ""),
    PortBindings: parsePorts(host.object("PortBindings")),
    PublishAllPorts: host.flag("PublishAllPorts"),
    RestartPolicy: parseRestart(host.object("RestartPolicy"), host.flag("AutoRemove")),
    AutoRemove: host.flag("AutoRemove"),
    CapAdd: host.texts("CapAdd"),
    CapDrop: host.texts("CapDrop"),
    Privileged: host.flag("Privileged"),
    ReadonlyRootfs: host.flag("ReadonlyRootfs"),
    SecurityOpt: host.texts("SecurityOpt"),
    Dns: host.texts("Dns"),
    DnsOptions: host.texts("DnsOptions"),
    DnsSearch: host.texts("DnsSearch"),
    ExtraHosts: host.texts("ExtraHosts"),
    GroupAdd: host.texts("GroupAdd"),
    IpcMode: host.text("IpcMode"),
    PidMode: host.text("PidMode"),
    UTSMode: host.text("UTSMode"),
    CgroupnsMode: host.text("CgroupnsMode"),
    UsernsMode: host.text("UsernsMode"),
    OomScoreAdj: host.number("OomScoreAdj"),
    ShmSize: shm === 0 ? shmBytesDefault : shm,
    Sysctls: host.textMap("Sysctls"),
    Ulimits: host.objects("Ulimits").map((one) => ({
      Name: one.text("Name"),
      Soft: one.number("Soft"),
      Hard: one.number("Hard"),
    })),
    Devices: host.objects("Devices").map(parseDevice),
    Init: host.flag("Init"),
    LogConfig: { Type: log.text("Type") || "json-file", Config: log.textMap("Config") },
    ConsoleSize: host.numbers("ConsoleSize"),
    Annotations: host.textMap("Annotations"),
    ContainerIDFile: host.text("ContainerIDFile"),
    MaskedPaths: host.optionalTexts("MaskedPaths"),
    ReadonlyPaths: host.optionalTexts("ReadonlyPaths"),
  };
}

export const memoryBytesLeast = 6 * 1024 * 1024;

export function parseLimits(host: JsonObject): Limits {
  const limits = {
    CpuShares: host.number("CpuShares"),
    CpuPeriod: host.number("CpuPeriod"),
    CpuQuota: host.number("CpuQuota"),
    NanoCpus: host.number("NanoCpus"),
    Memory: host.number("Memory"),
    MemorySwap: host.number("MemorySwap"),
    MemoryReservation: host.number("MemoryReservation"),
    PidsLimit: host.number("PidsLimit"),
    ...parseRareUpdate(host),
  };
  const { Memory, MemorySwap, MemoryReservation, NanoCpus, CpuPeriod, CpuQuota } = limits;
  if (Memory !== 0 && Memory < memoryBytesLeast)
    throw badRequest(`Minimum memory limit allowed is 6MB, got ${Memory} bytes`);
  if (MemorySwap > 0 && Memory === 0)
    throw badRequest("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (MemorySwap > 0 && MemorySwap < Memory)
    throw badRequest("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (MemoryReservation > 0 && Memory > 0 && MemoryReservation > Memory)
    throw badRequest("Minimum memory limit can not be less than memory reservation limit, see usage");
  if (NanoCpus < 0) throw badRequest("NanoCPUs can not be set to a negative value");
  if (NanoCpus > 0 && (CpuPeriod > 0 || CpuQuota > 0))
    throw badRequest("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set");
  return limits;
}

function parseRestart(json: JsonObject, autoRemove: boolean): RestartPolicy {
  const policy = parseRestartPolicy(json);
  if (autoRemove && policy.Name !== "no") throw badRequest("can't create 'AutoRemove' container with restart policy");
  return policy;
}

export function parseRestartPolicy(json: JsonObject): RestartPolicy {
  const name = json.text("Name") || "no";
  const MaximumRetryCount = json.number("MaximumRetryCount");
  if (name !== "no" && name !== "always" && name !== "unless-stopped" && name !== "on-failure")
    throw badRequest(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (MaximumRetryCount < 0) throw badRequest("invalid restart policy: maximum retry count cannot be negative");
  if (MaximumRetryCount > 0 && name !== "on-failure")
    throw badRequest("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  return { Name: name, MaximumRetryCount };
}

function parseMount(json: JsonObject): MountRequest {
  const Type = json.text("Type");
  const Target = json.text("Target");
  if (Type !== "bind" && Type !== "volume" && Type !== "tmpfs")
    throw badRequest(
      `${json.at("Type")}: mount type ${JSON.stringify(Type)} is not supported; there are bind, volume and tmpfs`,
    );
  if (!Target.startsWith("/"))
    throw badRequest(
      `invalid mount config for type "${Type}": invalid mount path: '${Target}' mount path must be absolute`,
    );
  const volume = json.object("VolumeOptions");
  const driver = volume.object("DriverConfig");
  if (driver.text("Name") !== "" && driver.text("Name") !== "local")
    throw badRequest(`${json.at("VolumeOptions")}: volume driver ${driver.text("Name")} is not there; there is local`);
  const propagation = json.object("BindOptions").text("Propagation");
  if (propagation !== "" && !isPropagation(propagation))
    throw badRequest(`invalid mount config for type "bind": invalid propagation mode: ${propagation}`);
  const tmpfs = json.object("TmpfsOptions");
  return {
    Type,
    Source: json.text("Source"),
    Target,
    ReadOnly: json.flag("ReadOnly"),
    BindOptions: {
      NonRecursive: json.object("BindOptions").flag("NonRecursive"),
      CreateMountpoint: json.object("BindOptions").flag("CreateMountpoint"),
      ...(propagation === "" ? {} : { Propagation: propagation }),
    },
    VolumeOptions: {
      NoCopy: volume.flag("NoCopy"),
      Labels: volume.textMap("Labels"),
      Subpath: volume.text("Subpath"),
      Options: parseDriverOptions(driver.object("Options")),
    },
    TmpfsOptions: { SizeBytes: tmpfs.number("SizeBytes"), Mode: tmpfs.number("Mode") },
  };
}

function parseDevice(json: JsonObject): DeviceMapping {
  const access = json.text("CgroupPermissions") || "rwm";
  if (!/^[rwm]{1,3}$/.test(access))
    throw badRequest(`${json.at("CgroupPermissions")}: some of r, w and m, got ${access}`);
  const host = json.text("PathOnHost");
  if (!host.startsWith("/"))
    throw badRequest(`${json.at("PathOnHost")}: ${JSON.stringify(host)} is not an absolute path`);
  return { PathOnHost: host, PathInContainer: json.text("PathInContainer") || host, CgroupPermissions: access };
}

export function parsePorts(json: JsonObject): PortMap {
  return Object.fromEntries(
    json.keys().map((key) => {
      const bindings = json.raw(key) === undefined ? [] : json.objects(key);
      return [portKey(key), bindings.map(parseBinding)];
    }),
  );
}

function parseBinding(json: JsonObject): PortBinding {
  const HostPort = json.text("HostPort");
  if (!/^(?:\d{1,5}(?:-\d{1,5})?)?$/.test(HostPort) || HostPort.split("-").some((port) => Number(port) > 65535))
    throw badRequest(`invalid port specification: ${JSON.stringify(HostPort)}`);
  return { HostIp: json.text("HostIp"), HostPort };
}

/** "80" is "80/tcp". */
function portKey(text: string): string {
  const [, port = "", protocol = "tcp"] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  if (port === "" || Number(port) < 1 || Number(port) > 65535)
    throw badRequest(`invalid port specification: ${JSON.stringify(text)}`);
  return `${Number(port)}/${protocol.toLowerCase()}`;
}
