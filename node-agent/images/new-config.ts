// Configs of images that are made here (image spec, "config"): what is known is laid over what the image below had. Pure.
import type { Healthcheck, ImageConfig } from "./images.ts";
import type { Platform } from "./library.ts";
import { hostPlatform, isObject } from "./manifest.ts";

type Json = Readonly<Record<string, unknown>>;

export interface ConfigHistory {
  readonly createdBy: string;
  readonly comment?: string;
  readonly author?: string;
  /** RFC 3339 */
  readonly created: string;
  /** Absent: a line that only changed the config. */
  readonly diffId?: string;
}

export interface NewConfig {
  /** Of the image below, as it is. */
  readonly base?: Json | undefined;
  readonly config: Partial<ImageConfig>;
  /** In order; those with a layer put it on top. */
  readonly history: readonly ConfigHistory[];
  readonly created: string;
  readonly author?: string | undefined;
  readonly platform?: Platform | undefined;
}

/** The same bytes for the same input. */
export function makeConfig({ base = {}, config, history, created, author, platform }: NewConfig): Buffer {
  const { os, architecture, variant } = platform ?? platformOf(base);
  const rootfs = isObject(base["rootfs"]) ? base["rootfs"] : {};
  const body = {
    ...without(base, ["container", "container_config", "id", "parent"]),
    created,
    ...(author === undefined || author === "" ? {} : { author }),
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config: withoutEmpty({ ...(isObject(base["config"]) ? base["config"] : {}), ...toRunConfig(config) }),
    rootfs: {
      type: "layers",
      diff_ids: [...list(rootfs["diff_ids"]), ...history.flatMap(({ diffId }) => diffId ?? [])],
    },
    history: [...fittingHistory(base, list(rootfs["diff_ids"]).length), ...history.map(toLine)],
  };
  return Buffer.from(JSON.stringify(body));
}

/** As an image's config spells it; only what is given. */
export function toRunConfig(config: Partial<ImageConfig>): Json {
  const { healthcheck, stopSignal } = config;
  const keys = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, {}]));
  const given: readonly (readonly [string, unknown])[] = [
    ["User", config.user],
    ["ExposedPorts", config.exposedPorts && keys(config.exposedPorts)],
    ["Env", config.env],
    ["Entrypoint", config.entrypoint],
    ["Cmd", config.cmd],
    ["Volumes", config.volumes && keys(config.volumes)],
    ["WorkingDir", config.workingDir],
    ["Labels", config.labels],
    ["StopSignal", stopSignal],
    ["Healthcheck", healthcheck && toHealthcheck(healthcheck)],
    ["OnBuild", config.onBuild],
    ["Shell", config.shell],
  ];
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

// Old tools left lines out: layers without one get an empty one, so that the rest stand with the right layers.
function fittingHistory(base: Json, layers: number): readonly unknown[] {
  const lines = list(base["history"]);
  const told = lines.filter((line) => !(isObject(line) && line["empty_layer"] === true)).length;
  return [...Array.from({ length: Math.max(0, layers - told) }, () => ({ created_by: "" })), ...lines];
}

function toHealthcheck(check: Healthcheck): Json {
  const numbers = {
    Interval: check.intervalNs,
    Timeout: check.timeoutNs,
    StartPeriod: check.startPeriodNs,
    StartInterval: check.startIntervalNs,
    Retries: check.retries,
  };
  return {
    Test: check.test,
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
  };
}

function toLine({ created, createdBy, comment, author, diffId }: ConfigHistory): Json {
  return {
    created,
    created_by: createdBy,
    ...(author === undefined || author === "" ? {} : { author }),
    ...(comment === undefined || comment === "" ? {} : { comment }),
    ...(diffId === undefined ? { empty_layer: true } : {}),
  };
}

function withoutEmpty(body: Json): Json {
  const isEmpty = (value: unknown) =>
    value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(body).filter(([, value]) => !isEmpty(value)));
}

function platformOf(base: Json): Platform {
  const { os, architecture, variant } = base;
  if (typeof os !== "string" || typeof architecture !== "string" || os === "") return hostPlatform();
  return { os, architecture, ...(typeof variant === "string" && variant !== "" ? { variant } : {}) };
}

function without(body: Json, keys: readonly string[]): Json {
  return Object.fromEntries(Object.entries(body).filter(([key]) => !keys.includes(key)));
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
