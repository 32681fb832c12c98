// Limits of config.json. Source: OCI runtime specification 1.3, config-linux.md, Control groups.
import type { Resources } from "../runtime/runtime.ts";
import type { Fields } from "./fields.ts";
import { parseResourceFiles, type ResourceFile } from "./resource-files.ts";

/** A device of the allow list; absent numbers are all. */
export interface DevicePermission {
  readonly allow: boolean;
  readonly type: "a" | "b" | "c";
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface ResourceConfig {
  readonly limits: Resources;
  readonly files: readonly ResourceFile[];
  /** Files of version 2, as they are. */
  readonly unified: Readonly<Record<string, string>>;
  readonly devices: readonly DevicePermission[];
  /** A limit below what is in use already is refused. */
  readonly checkBeforeUpdate: boolean;
}

export function parseResources(resources: Fields | undefined): ResourceConfig {
  const memory = resources?.object("memory");
  return {
    limits: parseLimits(resources, memory, resources?.object("cpu")),
    files: parseResourceFiles(resources),
    unified: resources?.map("unified") ?? {},
    devices: resources?.objects("devices", parseDevice) ?? [],
    checkBeforeUpdate: memory?.flag("checkBeforeUpdate") ?? false,
  };
}

function parseLimits(resources: Fields | undefined, memory: Fields | undefined, cpu: Fields | undefined): Resources {
  const pids = resources?.object("pids")?.whole("limit");
  const given = {
    cpuShares: said(cpu?.whole("shares")),
    cpuQuotaUs: said(cpu?.whole("quota")),
    cpuPeriodUs: said(cpu?.whole("period")),
    memoryBytesMax: said(memory?.whole("limit")),
    memorySwapBytesMax: said(memory?.whole("swap")),
    memoryReservationBytes: said(memory?.whole("reservation")),
    pidsMax: said(pids),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** 0 stands for nothing said. */
function said(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function parseDevice(device: Fields): DevicePermission {
  const type = device.text("type") ?? "a";
  if (type !== "a" && type !== "b" && type !== "c") throw device.wrong("type", `${type}, a, b or c is expected`);
  const access = device.text("access") ?? "rwm";
  if (!/^[rwm]*$/.test(access)) throw device.wrong("access", `${access}, some of rwm are expected`);
  const [major, minor] = [device.whole("major") ?? -1, device.whole("minor") ?? -1];
  return {
    allow: device.flag("allow"),
    type,
    ...(major < 0 ? {} : { major }),
    ...(minor < 0 ? {} : { minor }),
    access: access === "" ? "rwm" : access,
  };
}
