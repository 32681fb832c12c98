// Which options of a container Naru does not act on. One that is unknown or would make the container another one refuses it; one that
// only tunes is a warning. Pure.
import type { JsonObject } from "../http/json.ts";
import { badRequest } from "../http/problem.ts";

const configKnown = new Set([
  ...["Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty"],
  ...["OpenStdin", "StdinOnce", "Env", "Cmd", "Healthcheck", "Image", "Volumes", "WorkingDir", "Entrypoint"],
  ...["Labels", "StopSignal", "StopTimeout", "MacAddress", "HostConfig", "NetworkingConfig"],
  // Of Windows, and of what an image's builder keeps for itself.
  ...["ArgsEscaped", "OnBuild", "Shell"],
  // Parameters of the query, which dockerode's users find in the body, too.
  ...["name", "platform"],
]);

const hostKnown = new Set([
  ...[
    "Binds",
    "Mounts",
    "VolumesFrom",
    "Tmpfs",
    "NetworkMode",
    "Links",
    "PortBindings",
    "PublishAllPorts",
    "RestartPolicy",
  ],
  ...["AutoRemove", "CapAdd", "CapDrop", "Privileged", "ReadonlyRootfs", "SecurityOpt", "Dns", "DnsOptions"],
  ...["DnsSearch", "ExtraHosts", "GroupAdd", "IpcMode", "PidMode", "UTSMode", "CgroupnsMode", "UsernsMode"],
  ...["OomScoreAdj", "ShmSize", "Sysctls", "Ulimits", "Devices", "Init", "LogConfig", "ConsoleSize", "Annotations"],
  ...["ContainerIDFile", "MaskedPaths", "ReadonlyPaths", "CpuShares", "CpuPeriod", "CpuQuota", "NanoCpus", "Memory"],
  ...["MemorySwap", "MemoryReservation", "PidsLimit", "CpusetCpus", "CpusetMems", "BlkioWeight", "BlkioWeightDevice"],
  ...["BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps"],
  ...["DeviceCgroupRules", "MemorySwappiness", "OomKillDisable"],
]);

/** Values that mean the same as nothing. */
const meaningless: Readonly<Record<string, readonly unknown[]>> = {
  VolumeDriver: ["local"],
  Isolation: ["default"],
  Runtime: ["naru", "runc", "io.containerd.runc.v2"],
};

const tuning: Readonly<Record<string, string>> = {
  KernelMemory: "kernel memory is not limited apart",
  KernelMemoryTCP: "memory of TCP buffers is not limited apart",
  CpuCount: "only on Windows",
  CpuPercent: "only on Windows",
  IOMaximumIOps: "only on Windows",
  IOMaximumBandwidth: "only on Windows",
};

const refusals: Readonly<Record<string, string>> = {
  CgroupParent: "the node places containers' cgroups, so that what they use together stays within its limits",
  StorageOpt:
    "containers' layers are folders of the node's file system, which have no size of their own; give data that grows a volume",
  CpuRealtimePeriod:
    "cgroup version 2 has no budgets of realtime, and kernels are built without those of version 1; --ulimit rtprio lets a container ask for it",
  CpuRealtimeRuntime:
    "cgroup version 2 has no budgets of realtime, and kernels are built without those of version 1; --ulimit rtprio lets a container ask for it",
  DeviceRequests:
    'could not select device driver "" with capabilities: [[gpu]]: Naru gives containers devices by path (--device), and has no drivers for --gpus',
};

/** Warnings; throws for what is refused. */
export function unsupportedOptions(body: JsonObject, host: JsonObject): readonly string[] {
  return [
    ...body.keys().flatMap((key) => look(body, key, configKnown)),
    ...host.keys().flatMap((key) => look(host, key, hostKnown)),
  ];
}

function look(json: JsonObject, key: string, known: ReadonlySet<string>): readonly string[] {
  const value = json.raw(key);
  if (known.has(key) || isNothing(value) || meaningless[key]?.includes(value)) return [];
  const warning = tuning[key];
  const refusal = refusals[key];
  if (refusal !== undefined) throw badRequest(`${json.at(key)}: ${refusal}`);
  if (warning !== undefined) return [`${json.at(key)} is not supported: ${warning}`];
  throw badRequest(`${json.at(key)} is not supported by Naru, got ${JSON.stringify(value)}`);
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
