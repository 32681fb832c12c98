// A container's spec as the config.json of an OCI runtime's bundle. Pure.
// Source: OCI runtime specification, config.md and config-linux.md.
import { allowedDevices, type Device } from "./defaults.ts";
import type { OciMount } from "./oci-mounts.ts";
import { type OciProcess, ociProcess } from "./oci-process.ts";
import type { OciSeccomp } from "./oci-seccomp.ts";
import { type ContainerSpec, LaunchError, type Namespace, type Resources } from "./runtime.ts";

export interface OciConfigContext {
  /** On the host, where its root is mounted when the runtime is called. */
  readonly rootfsPath: string;
  /** From the root of the cgroup trees on. */
  readonly cgroupsPath: string;
  readonly mounts: readonly OciMount[];
  readonly rootfsPropagation: string | undefined;
  readonly seccomp: OciSeccomp | undefined;
  /** A privileged container's. */
  readonly hostDevices: readonly Device[];
  /** Whether this machine limits swap; a limit that it cannot keep would be an error. */
  readonly countsSwap: boolean;
}

export interface OciConfig {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname?: string;
  readonly mounts: readonly OciMount[];
  readonly linux: Readonly<Record<string, unknown>>;
}

export function ociConfig(spec: ContainerSpec, context: OciConfigContext): OciConfig {
  const { hostname, namespaces } = spec;
  const ownUts = namespaces.some(({ type, path }) => type === "uts" && path === undefined);
  return {
    ociVersion: "1.0.2",
    process: ociProcess(spec),
    root: { path: context.rootfsPath, readonly: spec.readonlyRootfs },
    ...(hostname === undefined || !ownUts ? {} : { hostname }),
    mounts: context.mounts,
    linux: {
      namespaces: namespaces.map(namespaceOf),
      ...users(spec),
      ...(Object.keys(spec.sysctls).length === 0 ? {} : { sysctl: spec.sysctls }),
      cgroupsPath: context.cgroupsPath,
      resources: { devices: deviceRules(spec), ...ociResources(spec.resources, context) },
      devices: [...(spec.privileged ? context.hostDevices : []), ...(spec.devices ?? [])].map(deviceOf),
      ...(context.seccomp === undefined ? {} : { seccomp: context.seccomp }),
      ...(context.rootfsPropagation === undefined ? {} : { rootfsPropagation: context.rootfsPropagation }),
      ...(spec.privileged ? {} : { maskedPaths: spec.maskedPaths, readonlyPaths: spec.readonlyPaths }),
    },
  };
}

/** The limits alone, as `update --resources` takes them too. */
export function ociResources(
  resources: Resources,
  { countsSwap }: Pick<OciConfigContext, "countsSwap">,
): Readonly<Record<string, unknown>> {
  const { memoryBytesMax, memorySwapBytesMax, memoryReservationBytes, cpuShares, cpuQuotaUs, cpuPeriodUs } = resources;
  // Without a word of it there is none beside the memory.
  const swap = countsSwap ? (memorySwapBytesMax ?? memoryBytesMax) : undefined;
  const memory = given({ limit: memoryBytesMax, swap, reservation: memoryReservationBytes });
  const cpu = given({ shares: cpuShares, quota: cpuQuotaUs, period: cpuPeriodUs });
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(resources.pidsMax === undefined ? {} : { pids: { limit: resources.pidsMax } }),
    ...(resources.hugepages === undefined
      ? {}
      : { hugepageLimits: resources.hugepages.map(({ pageSize, bytesMax }) => ({ pageSize, limit: bytesMax })) }),
  };
}

/** No limit is the kernel's largest number there, which JavaScript's own numbers cannot say. */
export function writeOciJson(value: unknown): string {
  return JSON.stringify(value, (key, part: unknown) =>
    (key === "soft" || key === "hard") && typeof part === "number" && (part < 0 || part > Number.MAX_SAFE_INTEGER)
      ? rawJson("18446744073709551615")
      : part,
  );
}

function rawJson(text: string): unknown {
  // The types of this version of TypeScript lack it.
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}

function namespaceOf({ type, path }: Namespace): Namespace {
  return path === undefined ? { type } : { type, path };
}

function users({ idMapping, namespaces }: ContainerSpec): Readonly<Record<string, unknown>> {
  const joined = namespaces.find(({ type }) => type === "user");
  if (joined === undefined && idMapping === undefined) return {};
  if (joined?.path === undefined || idMapping === undefined)
    throw new LaunchError("user namespace: it is joined by its path, and its mapping has to be known", 128);
  const mappings = [{ containerID: 0, hostID: idMapping.hostId, size: idMapping.size }];
  return { uidMappings: mappings, gidMappings: mappings };
}

function deviceRules({ privileged, devices = [] }: ContainerSpec): readonly unknown[] {
  if (privileged) return [{ allow: true, access: "rwm" }];
  const rules = [...allowedDevices, ...devices].map(({ type, major, minor, access }) => ({
    allow: true,
    type,
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    access,
  }));
  return [{ allow: false, access: "rwm" }, ...rules];
}

function deviceOf({ path, type, major, minor, mode }: Device) {
  return { path, type, major, minor, fileMode: mode, uid: 0, gid: 0 };
}

function given(values: Readonly<Record<string, number | undefined>>): Readonly<Record<string, number>> | undefined {
  const some = Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== undefined);
  return some.length === 0 ? undefined : Object.fromEntries(some);
}
