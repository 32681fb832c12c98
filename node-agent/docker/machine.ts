// What the docker door tells of the node it is on.
import { readFileSync } from "node:fs";
import { arch, cpus, hostname, release, totalmem } from "node:os";

export interface Machine {
  /** Stays the same for the node. */
  readonly id: string;
  readonly version: string;
  readonly dataDir: string;
  readonly cgroupVersion: 1 | 2;
  readonly insecureRegistries: readonly string[];
}

export const goArchitecture: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export function systemVersion(machine: Machine, api: { readonly least: number; readonly most: number }): unknown {
  const common = {
    Version: machine.version,
    ApiVersion: `1.${api.most}`,
    MinAPIVersion: `1.${api.least}`,
    Os: "linux",
    Arch: goArchitecture[arch()] ?? arch(),
    KernelVersion: release(),
  };
  return {
    Platform: { Name: "Naru" },
    ...common,
    GitCommit: "",
    GoVersion: "",
    BuildTime: "",
    Components: [
      { Name: "Engine", Version: machine.version, Details: { ...common, GitCommit: "", Experimental: "false" } },
    ],
  };
}

export interface Counts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
  readonly images: number;
  readonly listeners: number;
}

export function systemInfo(machine: Machine, counts: Counts, nowMs: number): unknown {
  const registries = Object.fromEntries(
    ["docker.io", ...machine.insecureRegistries].map((name) => [
      name,
      { Name: name, Mirrors: [], Secure: !machine.insecureRegistries.includes(name), Official: name === "docker.io" },
    ]),
  );
  return {
    ID: machine.id,
    Containers: counts.running + counts.paused + counts.stopped,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: counts.images,
    Driver: "overlay2",
    DriverStatus: [["Backing Filesystem", "overlayfs layers of Naru"]],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: ["json-file", "local", "none"],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: false,
    PidsLimit: true,
    OomKillDisable: false,
    IPv4Forwarding: true,
    BridgeNfIptables: false,
    BridgeNfIp6tables: false,
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    SystemTime: new Date(nowMs).toISOString(),
    LoggingDriver: "json-file",
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(machine.cgroupVersion),
    NEventsListener: counts.listeners,
    KernelVersion: release(),
    OperatingSystem: operatingSystem(),
    OSVersion: osRelease()["VERSION_ID"] ?? "",
    OSType: "linux",
    Architecture: arch() === "x64" ? "x86_64" : "aarch64",
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: {
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
      InsecureRegistryCIDRs: [],
      IndexConfigs: registries,
      Mirrors: null,
    },
    NCPU: cpus().length,
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: machine.dataDir,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: machine.version,
    Runtimes: { naru: { path: "naru-launcher" } },
    DefaultRuntime: "naru",
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "docker-init",
    ContainerdCommit: { ID: "", Expected: "" },
    RuncCommit: { ID: "", Expected: "" },
    InitCommit: { ID: "", Expected: "" },
    FirewallBackend: { Driver: "nftables" },
    CDISpecDirs: [],
    SecurityOptions: ["name=seccomp,profile=builtin"],
    Warnings: null,
  };
}

function operatingSystem(): string {
  return osRelease()["PRETTY_NAME"] ?? "Linux";
}

function osRelease(): Readonly<Record<string, string>> {
  try {
    const lines = readFileSync("/etc/os-release", "utf8").split("\n");
    const pairs = lines.flatMap((line) => {
      const [, key, value = ""] = /^([A-Z_]+)="?(.*?)"?$/.exec(line) ?? [];
      return key === undefined ? [] : [[key, value] as const];
    });
    return Object.fromEntries(pairs);
  } catch {
    return {};
  }
}
