// Manifests, indexes and configs as registries send them (OCI image spec 1.1, Docker image manifest v2 schema 2), parsed once.
import { type Healthcheck, type ImageConfig, PullError } from "./images.ts";
import type { Platform } from "./library.ts";
import { isDigest } from "./reference.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface IndexEntry extends Descriptor {
  readonly platform: Platform | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export type Manifest =
  | { readonly type: "index"; readonly entries: readonly IndexEntry[] }
  | { readonly type: "image"; readonly config: Descriptor; readonly layers: readonly Descriptor[] };

export interface ParsedConfig {
  readonly platform: Platform;
  readonly diffIds: readonly string[];
  readonly config: ImageConfig;
}

export const manifestBytesMax = 4 * 1024 * 1024;
export const configBytesMax = 4 * 1024 * 1024;
const layerBytesMax = 64 * 1024 ** 3;
/** As many as Docker allows. */
const layersMax = 127;

export const manifestMediaTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

export const imageManifestType = "application/vnd.oci.image.manifest.v1+json";
export const imageIndexType = "application/vnd.oci.image.index.v1+json";
export const imageConfigType = "application/vnd.oci.image.config.v1+json";
/** Of what is a container image, and no other artifact. */
export const imageConfigTypes = [imageConfigType, "application/vnd.docker.container.image.v1+json"];
const layerType = "application/vnd.oci.image.layer.v1.tar";

/** What an OCI manifest calls a layer, whatever it was called where it came from. */
export function layerMediaType(mediaType: string): string {
  if (/gzip$/.test(mediaType)) return `${layerType}+gzip`;
  return /zstd$/.test(mediaType) ? `${layerType}+zstd` : layerType;
}

type Json = Readonly<Record<string, unknown>>;

/** Throws PullError("BadLayer") with what is wrong in it; `what` names it in the message. */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  const body = parseObject(bytes, what);
  if (body["schemaVersion"] === 1) {
    throw new PullError(
      "BadLayer",
      `${what} has the manifest format of 2014 (schema 1), which is no longer used: push the image again`,
    );
  }
  const hasEntries = Array.isArray(body["manifests"]);
  const hasLayers = Array.isArray(body["layers"]) && isObject(body["config"]);
  if (hasEntries === hasLayers) throw bad(what, "is neither a manifest nor an index");
  if (hasEntries)
    return { type: "index", entries: list(body, "manifests").map((entry) => parseIndexEntry(entry, what)) };
  const layers = list(body, "layers").map((layer) => parseDescriptor(layer, what));
  if (layers.length > layersMax) throw bad(what, `has ${layers.length} layers; overlayfs takes ${layersMax} at most`);
  const config = parseDescriptor(body["config"], what);
  if (!imageConfigTypes.includes(config.mediaType)) {
    throw bad(what, `is not a container image but ${JSON.stringify(config.mediaType)}`);
  }
  return { type: "image", config, layers };
}

/** What a manifest says that it is, else what its form says. */
export function manifestMediaTypeOf(bytes: Uint8Array): string {
  const body = parseObject(bytes, "manifest");
  if (typeof body["mediaType"] === "string" && body["mediaType"] !== "") return body["mediaType"];
  return Array.isArray(body["manifests"]) ? imageIndexType : imageManifestType;
}

/** The entry for a platform; throws PullError("NoMatchingPlatform") that lists what there is. */
export function choosePlatform(entries: readonly IndexEntry[], wanted: Platform, what: string): IndexEntry {
  const [found] = entries
    .filter((entry) => matches(entry.platform, wanted))
    .toSorted((a, b) => strangeness(a.platform, wanted) - strangeness(b.platform, wanted));
  if (found !== undefined) return found;
  const unmarked = onlyUnmarked(entries);
  if (unmarked !== undefined) return unmarked;
  const offered = entries.flatMap((entry) =>
    entry.platform === undefined || entry.platform.os === "unknown" ? [] : [platformName(entry.platform)],
  );
  throw new PullError(
    "NoMatchingPlatform",
    `${what} is not made for ${platformName(wanted)}; it has ${offered.length === 0 ? "no platform" : [...new Set(offered)].slice(0, 20).join(", ")}`,
  );
}

export function platformName({ os, architecture, variant = "" }: Platform): string {
  return `${os}/${architecture}${variant === "" ? "" : `/${variant}`}`;
}

/** This machine's, in Go's words. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
}

export function parseConfig(bytes: Uint8Array, what: string): ParsedConfig {
  const body = parseObject(bytes, what);
  const rootfs = isObject(body["rootfs"]) ? body["rootfs"] : {};
  const diffIds = strings(rootfs["diff_ids"], what, "rootfs.diff_ids");
  for (const diffId of diffIds)
    if (!isDigest(diffId)) throw bad(what, `has a diff_id that is no sha256 digest: ${diffId.slice(0, 100)}`);
  if (diffIds.length > layersMax) throw bad(what, `has ${diffIds.length} layers; overlayfs takes ${layersMax} at most`);
  const run = isObject(body["config"]) ? body["config"] : {};
  return {
    platform: parsePlatform(body),
    diffIds,
    config: {
      entrypoint: strings(run["Entrypoint"], what, "config.Entrypoint"),
      cmd: strings(run["Cmd"], what, "config.Cmd"),
      env: strings(run["Env"], what, "config.Env"),
      workingDir: text(run["WorkingDir"]),
      user: text(run["User"]),
      stopSignal: text(run["StopSignal"]) === "" ? undefined : text(run["StopSignal"]),
      exposedPorts: isObject(run["ExposedPorts"]) ? Object.keys(run["ExposedPorts"]) : [],
      volumes: isObject(run["Volumes"]) ? Object.keys(run["Volumes"]) : [],
      labels: stringMap(run["Labels"]),
      ...optional("healthcheck", parseHealthcheck(run["Healthcheck"])),
      ...optional("onBuild", someStrings(run["OnBuild"])),
      ...optional("shell", someStrings(run["Shell"])),
    },
  };
}

function parseHealthcheck(value: unknown): Healthcheck | undefined {
  if (!isObject(value)) return undefined;
  const number = (key: string) => (typeof value[key] === "number" ? value[key] : undefined);
  return {
    test: someStrings(value["Test"]) ?? [],
    ...optional("intervalNs", number("Interval")),
    ...optional("timeoutNs", number("Timeout")),
    ...optional("startPeriodNs", number("StartPeriod")),
    ...optional("startIntervalNs", number("StartInterval")),
    ...optional("retries", number("Retries")),
  };
}

function someStrings(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.filter((item): item is string => typeof item === "string");
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [key in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in Key]: Value });
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function matches(platform: Platform | undefined, wanted: Platform): boolean {
  return platform?.os === wanted.os && platform.architecture === wanted.architecture;
}

// A processor runs what was made for earlier ones of its kind: best the nearest, and later ones only when there is nothing else.
function strangeness(platform: Platform | undefined, wanted: Platform): number {
  const [offered, own] = [platform, wanted].map((each) => levelOf(each));
  const distance = (own ?? 0) - (offered ?? 0);
  return distance >= 0 ? distance : 100 - distance;
}

function levelOf(platform: Platform | undefined): number {
  const [, level] = /^v(\d{1,2})/.exec(platform?.variant ?? "") ?? [];
  return level === undefined ? ({ arm: 7, arm64: 8 }[platform?.architecture ?? ""] ?? 1) : Number(level);
}

// An index of one image that names no platform: what it is made for shows in its config.
function onlyUnmarked(entries: readonly IndexEntry[]): IndexEntry | undefined {
  return entries.length === 1 && entries[0]?.platform === undefined ? entries[0] : undefined;
}

function parseIndexEntry(value: unknown, what: string): IndexEntry {
  const fields = isObject(value) ? value : {};
  const platform = isObject(fields["platform"]) ? fields["platform"] : undefined;
  return {
    ...parseDescriptor(value, what),
    platform: platform && parsePlatform(platform),
    annotations: stringMap(fields["annotations"]),
  };
}

function parsePlatform(body: Json): Platform {
  const variant = text(body["variant"]);
  return { os: text(body["os"]), architecture: text(body["architecture"]), ...(variant === "" ? {} : { variant }) };
}

export function parseDescriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw bad(what, "has a descriptor that is no object");
  const { mediaType, digest, size } = value;
  if (typeof digest !== "string" || !isDigest(digest)) {
    throw bad(what, `has a digest that is not sha256: ${String(digest).slice(0, 100)}`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0 || size > layerBytesMax) {
    throw bad(what, `gives ${digest} the size ${String(size).slice(0, 40)}`);
  }
  return { mediaType: text(mediaType), digest, sizeBytes: size };
}

export function parseObject(bytes: Uint8Array, what: string): Json {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new PullError("BadLayer", `${what} is no JSON`, { cause });
  }
  if (!isObject(body)) throw bad(what, "is no JSON object");
  return body;
}

function list(body: Json, key: string): readonly unknown[] {
  const value = body[key];
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function strings(value: unknown, what: string, path: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw bad(what, `has ${path} that is no list of strings`);
}

export function stringMap(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
}

function bad(what: string, why: string): PullError {
  return new PullError("BadLayer", `${what} ${why}`);
}
