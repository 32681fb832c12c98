// A bundle's config.json, read once at the edge. Source: OCI runtime specification 1.3, config.md and config-linux.md.
import { isAbsolute, resolve } from "node:path";
import type { Mount, Namespace } from "../runtime/runtime.ts";
import { ConfigError, Fields } from "./fields.ts";
import { type ProcessConfig, parseProcess } from "./process-config.ts";
import { parseResources, type ResourceConfig } from "./resource-config.ts";
import { parseSeccomp, type SeccompConfig } from "./seccomp-config.ts";
import { parseUsers, type Users } from "./users.ts";

export interface Hook {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly timeoutMs: number;
}

export const hookNames = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
export type Hooks = Readonly<Record<(typeof hookNames)[number], readonly Hook[]>>;

export interface DeviceConfig {
  readonly path: string;
  readonly type: "c" | "b" | "p";
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface NamespaceConfig {
  readonly type: Namespace["type"] | "time";
  readonly path?: string;
}

export interface OciMount extends Mount {
  /** With `idmap`: other users than the container's. */
  readonly users?: Users;
}

export interface OciConfig {
  readonly ociVersion: string;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string | undefined;
  readonly domainname: string | undefined;
  /** A container without one can be created, but not started. */
  readonly process: ProcessConfig | undefined;
  readonly mounts: readonly OciMount[];
  readonly hooks: Hooks;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaces: readonly NamespaceConfig[];
  /** Of the user namespace. */
  readonly users: Users | undefined;
  /** personality(2)'s. */
  readonly personality: number | undefined;
  readonly timeOffsets: readonly { readonly clock: string; readonly seconds: number; readonly nanoseconds: number }[];
  readonly devices: readonly DeviceConfig[];
  readonly cgroupsPath: string;
  readonly resources: ResourceConfig;
  readonly rootfsPropagation: "private" | "slave" | "shared" | "unbindable";
  readonly seccomp: SeccompConfig | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

/** `bundle`: the absolute directory that relative paths start from. Throws ConfigError. */
export function parseConfig(value: unknown, bundle: string): OciConfig {
  const config = new Fields(value, "");
  const version = config.text("ociVersion") ?? "";
  if (!/^1\.\d+\.\d+/.test(version)) throw config.wrong("ociVersion", `${JSON.stringify(version)}, 1.x.x is expected`);
  for (const name of ["windows", "solaris", "vm", "zos"]) config.refuse(name, "this is Linux");
  const process = config.object("process");
  const linux = config.object("linux") ?? new Fields({}, "linux");
  for (const name of ["mountLabel", "intelRdt", "netDevices", "memoryPolicy"]) linux.refuse(name);
  return {
    ociVersion: version,
    root: parseRoot(config, bundle),
    hostname: config.text("hostname"),
    domainname: config.text("domainname"),
    process: process === undefined ? undefined : parseProcess(process),
    mounts: config.objects("mounts", (mount) => parseMount(mount, bundle)),
    hooks: parseHooks(config.object("hooks")),
    annotations: config.map("annotations"),
    namespaces: parseNamespaces(linux),
    users: parseUsers(linux),
    personality: parsePersonality(linux.object("personality")),
    timeOffsets: parseTimeOffsets(linux.object("timeOffsets")),
    devices: linux.objects("devices", parseDevice),
    cgroupsPath: parseCgroupsPath(linux),
    resources: parseResources(linux.object("resources")),
    rootfsPropagation: parsePropagation(linux),
    seccomp: parseSeccomp(linux.object("seccomp")),
    sysctls: linux.map("sysctl"),
    maskedPaths: linux.texts("maskedPaths"),
    readonlyPaths: linux.texts("readonlyPaths"),
  };
}

function parseRoot(config: Fields, bundle: string): OciConfig["root"] {
  const root = config.object("root");
  const path = root?.text("path") ?? "";
  if (root === undefined || path === "") throw config.wrong("root", "the root file system's path is expected");
  return { path: resolve(bundle, path), readonly: root.flag("readonly") };
}

function parseMount(mount: Fields, bundle: string): OciMount {
  const destination = mount.text("destination") ?? "";
  const options = mount.texts("options");
  const bind = options.some((option) => option === "bind" || option === "rbind");
  const type = bind ? "bind" : (mount.text("type") ?? "none");
  const source = mount.text("source") ?? type;
  const users = parseUsers(mount);
  const asks = options.some((option) => option === "idmap" || option === "ridmap");
  // Relative ones are against the specification, but were long taken as below "/".
  return {
    destination: isAbsolute(destination) ? destination : `/${destination}`,
    type,
    source: type === "bind" ? resolve(bundle, source) : source,
    options: users === undefined || asks ? options : [...options, "idmap"],
    ...(users === undefined ? {} : { users }),
  };
}

function parseHooks(hooks: Fields | undefined): Hooks {
  const known: readonly string[] = hookNames;
  const unknown = hooks?.names().find((name) => !known.includes(name));
  if (unknown !== undefined) throw new ConfigError(`hooks.${unknown}: known are ${hookNames.join(", ")}`);
  const entries = hookNames.map((name) => [name, hooks?.objects(name, parseHook) ?? []] as const);
  return Object.fromEntries(entries) as unknown as Hooks;
}

function parseHook(hook: Fields): Hook {
  const path = hook.text("path") ?? "";
  if (!isAbsolute(path)) throw hook.wrong("path", "an absolute path is expected");
  const timeout = hook.whole("timeout");
  if (timeout !== undefined && timeout <= 0) throw hook.wrong("timeout", "more than 0 seconds are expected");
  const args = hook.texts("args");
  return { path, args: args.length === 0 ? [path] : args, env: hook.texts("env"), timeoutMs: (timeout ?? 0) * 1000 };
}

const namespaceTypes = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;

function parseNamespaces(linux: Fields): readonly NamespaceConfig[] {
  const seen = new Set<string>();
  return linux.objects("namespaces", (namespace) => {
    const type = namespaceTypes.find((known) => known === namespace.text("type"));
    if (type === undefined) throw namespace.wrong("type", `known are ${namespaceTypes.join(", ")}`);
    if (seen.has(type)) throw namespace.wrong("type", `${type} is there already`);
    seen.add(type);
    const path = namespace.text("path") ?? "";
    if (path !== "" && !isAbsolute(path)) throw namespace.wrong("path", "an absolute path is expected");
    return { type, ...(path === "" ? {} : { path }) };
  });
}

function parseTimeOffsets(offsets: Fields | undefined): OciConfig["timeOffsets"] {
  return (offsets?.names() ?? []).map((clock) => {
    if (clock !== "monotonic" && clock !== "boottime")
      throw new ConfigError(`linux.timeOffsets.${clock}: no such clock`);
    const offset = offsets?.object(clock);
    return { clock, seconds: offset?.whole("secs") ?? 0, nanoseconds: offset?.whole("nanosecs") ?? 0 };
  });
}

function parseDevice(device: Fields): DeviceConfig {
  const path = device.text("path") ?? "";
  const type = device.text("type") ?? "";
  if (!isAbsolute(path)) throw device.wrong("path", "an absolute path is expected");
  if (!["c", "u", "b", "p"].includes(type))
    throw device.wrong("type", `${JSON.stringify(type)}, c, u, b or p is expected`);
  return {
    path,
    type: type === "b" || type === "p" ? type : "c",
    major: device.whole("major") ?? 0,
    minor: device.whole("minor") ?? 0,
    mode: (device.whole("fileMode") ?? 0o666) & 0o777,
    uid: device.whole("uid") ?? 0,
    gid: device.whole("gid") ?? 0,
  };
}

function parseCgroupsPath(linux: Fields): string {
  const path = linux.text("cgroupsPath") ?? "";
  if (/^[^/]*:[^/]*:[^/]*$/.test(path))
    throw linux.wrong(
      "cgroupsPath",
      `${path} is for systemd, which naru-oci does not use: configure the cgroupfs driver`,
    );
  if (path.split("/").some((name) => name === ".." || name === "."))
    throw linux.wrong("cgroupsPath", "no . and no .. are allowed");
  if (path !== "" && !/[^/]/.test(path)) throw linux.wrong("cgroupsPath", `${path} is the cgroup of the whole machine`);
  return path;
}

/** Domains that programs of the machine's own kind can run in. */
const personalities: Readonly<Record<string, number>> = { LINUX: 0, LINUX32: 8 };

function parsePersonality(personality: Fields | undefined): number | undefined {
  if (personality === undefined) return undefined;
  personality.refuse("flags", "there are none yet");
  const domain = personality.text("domain") ?? "";
  const number = personalities[domain];
  if (number === undefined)
    throw personality.wrong("domain", `${domain}, known are ${Object.keys(personalities).join(", ")}`);
  return number;
}

function parsePropagation(linux: Fields): OciConfig["rootfsPropagation"] {
  const text = linux.text("rootfsPropagation") ?? "";
  const known = ["private", "slave", "shared", "unbindable"] as const;
  const found = known.find((name) => text === name || text === `r${name}`);
  if (found === undefined && text !== "")
    throw linux.wrong("rootfsPropagation", `${text}, known are ${known.join(", ")}`);
  return found ?? "private";
}
