// A container's cgroup as config.json wants it: the runtime's own plan, and what only OCI bundles ask for. Pure.
import { controllerOf } from "../runtime/cgroup-limits.ts";
import {
  type CgroupLayout,
  type CgroupPlan,
  type CgroupWrite,
  controllersWanted,
  passOn,
  planCgroup,
} from "../runtime/cgroups.ts";
import { allowedDevices } from "../runtime/defaults.ts";
import { compileDeviceFilter } from "../runtime/device-filter.ts";
import type { DeviceRule } from "../runtime/runtime.ts";
import type { OciConfig } from "./config.ts";
import { ConfigError } from "./fields.ts";
import type { DevicePermission, ResourceConfig } from "./resource-config.ts";

export interface OciCgroup {
  readonly cgroup: CgroupPlan;
  readonly deviceFilter: Buffer | undefined;
}

/** Below the trees' roots. Relative paths are ours to place. */
export function cgroupPath(config: Pick<OciConfig, "cgroupsPath">, id: string): string {
  if (config.cgroupsPath.startsWith("/")) return config.cgroupsPath;
  return `/naru-oci/${config.cgroupsPath === "" ? id : config.cgroupsPath}`;
}

/** Trees of version 1 that the container joins: the usual ones, and those that it sets something in. */
export function controllersOf({ files }: ResourceConfig): readonly string[] {
  return [...new Set([...controllersWanted, ...files.flatMap(({ v1 }) => v1.map(({ name }) => controllerOf(name)))])];
}

export function planOciCgroup(layout: CgroupLayout, path: string, resources: ResourceConfig): OciCgroup {
  // All devices there, since the rules here come one by one.
  const base = planCgroup(layout, { parent: "", path, resources: resources.limits, allDevices: true });
  if (layout.version === 1) {
    const writes = [
      ...base.writes,
      ...filesV1(layout.mounts, path, resources),
      ...devicesV1(layout.mounts, path, resources),
    ];
    return { cgroup: { ...base, writes }, deviceFilter: undefined };
  }
  const rules = allowedOf(resources.devices);
  const [directory = ""] = base.directories;
  const files = filesV2(directory, resources);
  const more = new Set(files.map((write) => controllerOf(write.path.slice(directory.length + 1))));
  const writes = [...passOn(layout.mount, path, [...more]), ...base.writes, ...files];
  if (rules === "all") return { cgroup: { ...base, writes }, deviceFilter: undefined };
  return {
    cgroup: { ...base, writes, deviceFilter: true },
    deviceFilter: compileDeviceFilter([...rules, ...allowedDevices]),
  };
}

function filesV1(
  mounts: Readonly<Record<string, string>>,
  path: string,
  { files, unified, limits }: ResourceConfig,
): readonly CgroupWrite[] {
  const [name] = Object.keys(unified);
  if (name !== undefined)
    throw new ConfigError(
      `linux.resources.unified.${name}: this machine has cgroup version 1, and that is for version 2`,
    );
  const limited = limitsOf(limits).filter((controller) => mounts[controller] === undefined);
  if (limited[0] !== undefined) throw new ConfigError(`linux.resources: this machine has no ${limited[0]} cgroups`);
  return files.flatMap(({ field, v1 }) =>
    v1.map(({ name, value, optional }) => {
      const mount = mounts[controllerOf(name)];
      if (mount === undefined) throw new ConfigError(`${field}: this machine has no ${controllerOf(name)} cgroups`);
      return { path: `${mount}${path}/${name}`, value, optional: optional === true };
    }),
  );
}

/** Controllers that these limits need. */
function limitsOf(limits: ResourceConfig["limits"]): readonly string[] {
  const { cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytesMax, memoryReservationBytes, pidsMax } = limits;
  const needed = {
    cpu: cpuShares ?? cpuQuotaUs ?? cpuPeriodUs,
    memory: memoryBytesMax ?? memoryReservationBytes,
    // -1 asks for nothing that would have to be there.
    pids: pidsMax === -1 ? undefined : pidsMax,
  };
  return Object.entries(needed).flatMap(([controller, value]) => (value === undefined ? [] : [controller]));
}

function devicesV1(
  mounts: Readonly<Record<string, string>>,
  path: string,
  { devices }: ResourceConfig,
): readonly CgroupWrite[] {
  const mount = mounts["devices"];
  if (mount === undefined) return [];
  const text = ({ type, major, minor, access }: DeviceRule | DevicePermission) =>
    type === "a" ? "a" : `${type} ${major ?? "*"}:${minor ?? "*"} ${access}`;
  const write = (file: string, value: string) => ({ path: `${mount}${path}/devices.${file}`, value, optional: false });
  return [
    write("deny", "a"),
    ...devices.map((rule) => write(rule.allow ? "allow" : "deny", text(rule))),
    ...(allowedOf(devices) === "all" ? [] : allowedDevices.map((rule) => write("allow", text(rule)))),
  ];
}

/** What is left when the rules were applied in their order. */
function allowedOf(rules: readonly DevicePermission[]): readonly DeviceRule[] | "all" {
  let allowed: readonly DeviceRule[] | "all" = [];
  for (const { allow, type, major, minor, access } of rules) {
    const every = type === "a" || (major === undefined && minor === undefined && access.length === 3 && !allow);
    if (type === "a") allowed = allow ? "all" : [];
    else if (allow && allowed !== "all")
      allowed = [
        ...allowed,
        { type, ...(major === undefined ? {} : { major }), ...(minor === undefined ? {} : { minor }), access },
      ];
    else if (!allow && !every && allowed !== "all")
      allowed = allowed.filter((rule) => !isSame(rule, type, major, minor));
  }
  return allowed;
}

function isSame(rule: DeviceRule, type: string, major: number | undefined, minor: number | undefined): boolean {
  return rule.type === type && rule.major === major && rule.minor === minor;
}

function filesV2(directory: string, { files, unified }: ResourceConfig): readonly CgroupWrite[] {
  const write = (name: string, value: string, optional = false) => ({ path: `${directory}/${name}`, value, optional });
  const named = files.flatMap(({ field, v2 }) => {
    if (v2 === undefined)
      throw new ConfigError(`${field}: cgroup version 2, which this machine has, knows no such thing`);
    return v2.map(({ name, value, optional }) => write(name, value, optional));
  });
  const given = Object.entries(unified).map(([name, value]) => {
    if (!/^[a-z]\w*\.[\w.]+$/i.test(name) || name.startsWith("cgroup."))
      throw new ConfigError(`linux.resources.unified.${name}: not a file of a controller`);
    return write(name, value);
  });
  return [...named, ...given];
}
