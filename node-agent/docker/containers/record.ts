// What Naru keeps of a container that Docker's API made: what was asked for in the API's own words, and what became of it.
import type { DriverOptions } from "../volumes/driver-options.ts";

export interface HealthConfig {
  readonly Test: readonly string[];
  /** Nanoseconds; 0 is the default. */
  readonly Interval: number;
  readonly Timeout: number;
  readonly StartPeriod: number;
  readonly StartInterval: number;
  readonly Retries: number;
}

/** The image's settings with the client's over them. */
export interface ContainerConfig {
  readonly Hostname: string;
  readonly Domainname: string;
  readonly User: string;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly ExposedPorts: readonly string[];
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly StdinOnce: boolean;
  readonly Env: readonly string[];
  readonly Cmd: readonly string[];
  readonly Healthcheck: HealthConfig | undefined;
  readonly Image: string;
  readonly Volumes: readonly string[];
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly StopSignal: string | undefined;
  readonly StopTimeout: number | undefined;
}

export interface PortBinding {
  readonly HostIp: string;
  readonly HostPort: string;
}

/** Keys such as "80/tcp". */
export type PortMap = Readonly<Record<string, readonly PortBinding[]>>;

export interface RestartPolicy {
  readonly Name: "no" | "always" | "unless-stopped" | "on-failure";
  readonly MaximumRetryCount: number;
}

/** A mount as `--mount` asks for it. */
export interface MountRequest {
  readonly Type: "bind" | "volume" | "tmpfs";
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
  readonly BindOptions?: {
    readonly NonRecursive: boolean;
    readonly CreateMountpoint: boolean;
    readonly Propagation?: string;
  };
  readonly VolumeOptions?: {
    readonly NoCopy: boolean;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Subpath: string;
    readonly Options?: DriverOptions;
  };
  readonly TmpfsOptions?: { readonly SizeBytes: number; readonly Mode: number };
}

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

export interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

export interface Limits {
  readonly CpuShares: number;
  readonly CpuPeriod: number;
  readonly CpuQuota: number;
  readonly NanoCpus: number;
  readonly Memory: number;
  readonly MemorySwap: number;
  readonly MemoryReservation: number;
  /** 0: what the node has for those that don't say; below 0: as many as it likes. */
  readonly PidsLimit: number;
  /** CPUs and memory nodes in the kernel's words, "0-2,4"; "" is all of the node's. */
  readonly CpusetCpus?: string;
  readonly CpusetMems?: string;
  /** 10 to 1000; 0 is the kernel's own. */
  readonly BlkioWeight?: number;
}

export interface DeviceWeight {
  readonly Path: string;
  readonly Weight: number;
}

/** Bytes or operations each second. */
export interface DeviceRate {
  readonly Path: string;
  readonly Rate: number;
}

export interface HostConfig extends Limits {
  readonly Binds: readonly string[];
  readonly Mounts: readonly MountRequest[];
  readonly VolumesFrom: readonly string[];
  readonly Tmpfs: Readonly<Record<string, string>>;
  readonly NetworkMode: string;
  /** "container:alias" on the default network. */
  readonly Links?: readonly string[];
  readonly PortBindings: PortMap;
  readonly PublishAllPorts: boolean;
  readonly RestartPolicy: RestartPolicy;
  readonly AutoRemove: boolean;
  readonly CapAdd: readonly string[];
  readonly CapDrop: readonly string[];
  readonly Privileged: boolean;
  readonly ReadonlyRootfs: boolean;
  readonly SecurityOpt: readonly string[];
  readonly Dns: readonly string[];
  readonly DnsOptions: readonly string[];
  readonly DnsSearch: readonly string[];
  readonly ExtraHosts: readonly string[];
  readonly GroupAdd: readonly string[];
  readonly IpcMode: string;
  readonly PidMode: string;
  readonly UTSMode: string;
  readonly CgroupnsMode: string;
  readonly UsernsMode: string;
  readonly OomScoreAdj: number;
  readonly ShmSize: number;
  readonly Sysctls: Readonly<Record<string, string>>;
  readonly Ulimits: readonly Ulimit[];
  readonly Devices: readonly DeviceMapping[];
  /** As the devices' cgroup takes them, "c 10:200 rwm". */
  readonly DeviceCgroupRules?: readonly string[];
  readonly BlkioWeightDevice?: readonly DeviceWeight[];
  readonly BlkioDeviceReadBps?: readonly DeviceRate[];
  readonly BlkioDeviceWriteBps?: readonly DeviceRate[];
  readonly BlkioDeviceReadIOps?: readonly DeviceRate[];
  readonly BlkioDeviceWriteIOps?: readonly DeviceRate[];
  /** undefined: the node's. */
  readonly MemorySwappiness?: number;
  readonly OomKillDisable?: boolean;
  readonly Init: boolean;
  readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  readonly ConsoleSize: readonly number[];
  readonly Annotations: Readonly<Record<string, string>>;
  readonly ContainerIDFile: string;
  /** undefined: those that every container has. */
  readonly MaskedPaths: readonly string[] | undefined;
  readonly ReadonlyPaths: readonly string[] | undefined;
}

/** How a container takes part in a network: what was asked for, and what it has while it runs. */
export interface Endpoint {
  readonly networkId: string;
  readonly aliases: readonly string[];
  /** Asked for; "" leaves it to us. */
  readonly wantedIp: string;
  readonly wantedIpv6?: string;
  readonly wantedMac: string;
  /** "container:alias" of others that it knows by names of its own. */
  readonly links?: readonly string[];
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly gwPriority: number;
  readonly live: LiveEndpoint | undefined;
}

export interface LiveEndpoint {
  readonly endpointId: string;
  readonly ip: string;
  readonly prefix: number;
  readonly gateway: string;
  readonly ipv6?: { readonly ip: string; readonly prefix: number; readonly gateway: string };
  readonly mac: string;
  /** Of the node's end of the link, and the name inside. */
  readonly hostLink: string;
  readonly link: string;
}

/** A mount that the container has at each of its starts. */
export interface MountPoint {
  readonly Type: "bind" | "volume" | "tmpfs";
  /** A volume's name, else "". */
  readonly Name: string;
  readonly Source: string;
  readonly Destination: string;
  readonly Mode: string;
  readonly RW: boolean;
  readonly Propagation: string;
  /** A volume made for this container alone, to be removed with it. */
  readonly anonymous: boolean;
  /** Takes over what the image has at its place, when it is empty. */
  readonly copyUp: boolean;
  readonly recursive: boolean;
  /** Of a volume: only what lies there is mounted. */
  readonly subpath: string;
  /** For a tmpfs: options in mount(8)'s words. */
  readonly options: readonly string[];
}

export interface PublishedPort {
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly hostIp: string;
  readonly hostPort: number;
  /** On the node's IPv6 addresses, too. */
  readonly alsoIpv6?: boolean;
}

export type Phase = "created" | "running" | "exited" | "dead";

/** Kept on the disk as it is, so that a container survives the agent. */
export interface ContainerRecord {
  readonly version: 1;
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly imageId: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly mounts: readonly MountPoint[];
  /** By the network's name as the client spelled it at the time. */
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  readonly ports: readonly PublishedPort[];
  readonly phase: Phase;
  readonly paused: boolean;
  /** Someone stopped it: "unless-stopped" leaves it so. */
  readonly stoppedByUser: boolean;
  readonly restartCount: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** 0: never. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}
