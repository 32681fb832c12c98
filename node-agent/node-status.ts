// What a node says of itself: what it has, what of it pods may use, and whether it is well.
import { readFile, statfs } from "node:fs/promises";
import { arch, availableParallelism, freemem, release, totalmem } from "node:os";
import type {
  ContainerImage,
  Node,
  NodeCondition,
  NodeStatus,
  NodeSystemInfo,
  Taint,
} from "../api/kinds/generated/types.ts";
import { bytes, cpuMilli } from "../api/kinds/schema/quantity.ts";
import { timestamp } from "../lib/clock.ts";
import { type HugePages, readHugePages } from "./huge-pages.ts";
import type { Image } from "./images/images.ts";

/** What does not change while the agent runs. */
export interface NodeMachine {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly podsMax: number;
  readonly hugePages: readonly HugePages[];
  readonly info: NodeSystemInfo;
}

export interface NodeOffer {
  /** Quantities that replace what the machine has. */
  readonly cpus?: string;
  readonly memory?: string;
  readonly podsMax?: number;
  readonly version: string;
}

/** What is measured now and then. */
export interface NodeLoad {
  readonly memoryAvailableBytes: number;
  readonly diskBytes: number;
  readonly diskAvailableBytes: number;
  readonly tasks: number;
  readonly tasksMax: number;
}

/** Below these the node is under pressure; the kubelet's default eviction thresholds. */
const memoryAvailableBytesMin = 100 * 1024 * 1024;
const diskAvailableShareMin = 0.1;
const tasksShareMax = 0.9;
/** The version of the Kubernetes API that clients should expect. */
const kubernetesVersion = "v1.36.0";
const imagesMax = 50;

export async function readMachine({ cpus, memory, podsMax = 110, version }: NodeOffer): Promise<NodeMachine> {
  const text = async (path: string) => (await readFile(path, "utf8").catch(() => "")).trim();
  const osRelease = await text("/etc/os-release");
  const machineID = await text("/etc/machine-id");
  return {
    cpuMilli: cpus === undefined ? availableParallelism() * 1000 : cpuMilli(cpus),
    memoryBytes: memory === undefined ? totalmem() : bytes(memory),
    podsMax,
    hugePages: await readHugePages(),
    info: {
      architecture: { x64: "amd64", arm64: "arm64" }[arch() as "x64" | "arm64"] ?? arch(),
      bootID: await text("/proc/sys/kernel/random/boot_id"),
      containerRuntimeVersion: `naru://${version}`,
      kernelVersion: release(),
      kubeProxyVersion: "",
      kubeletVersion: `${kubernetesVersion}+naru.${version}`,
      machineID,
      operatingSystem: "linux",
      osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? "Linux",
      systemUUID: machineID,
    },
  };
}

export async function readLoad(dataDir: string): Promise<NodeLoad> {
  const [disk, meminfo, loadavg, threadsMax] = await Promise.all([
    statfs(dataDir),
    readFile("/proc/meminfo", "utf8").catch(() => ""),
    readFile("/proc/loadavg", "utf8").catch(() => ""),
    readFile("/proc/sys/kernel/threads-max", "utf8").catch(() => ""),
  ]);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  return {
    memoryAvailableBytes: available === undefined ? freemem() : Number(available) * 1024,
    diskBytes: disk.blocks * disk.bsize,
    diskAvailableBytes: disk.bavail * disk.bsize,
    tasks: Number(/\/(\d+) /.exec(loadavg)?.[1] ?? 0),
    tasksMax: Number(threadsMax) || Number.POSITIVE_INFINITY,
  };
}

export interface NodeStatusInput {
  readonly name: string;
  readonly nodeIp: string;
  readonly machine: NodeMachine;
  readonly load: NodeLoad;
  readonly images: readonly Image[];
  /** Volumes that outlive their pods, as `volumesInUse` tells of them. */
  readonly volumes: readonly string[];
  /** Why pods cannot run here yet; undefined when they can. */
  readonly notReady: string | undefined;
  readonly metricsPort: number | undefined;
}

/** Pure. */
export function nodeStatus(input: NodeStatusInput, nowMs: number): NodeStatus {
  const { machine, load } = input;
  const resources = {
    cpu: machine.cpuMilli % 1000 === 0 ? String(machine.cpuMilli / 1000) : `${machine.cpuMilli}m`,
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    "ephemeral-storage": `${Math.floor(load.diskBytes / 1024)}Ki`,
    pods: String(machine.podsMax),
    ...Object.fromEntries(
      machine.hugePages.map((pages) => [pages.resource, pages.bytes === 0 ? "0" : `${pages.bytes / 1024}Ki`]),
    ),
  };
  const setAsideBytes = machine.hugePages.reduce((sum, pages) => sum + pages.bytes, 0);
  return {
    capacity: resources,
    // What is set aside for huge pages is nobody's memory.
    allocatable: { ...resources, memory: `${Math.floor((machine.memoryBytes - setAsideBytes) / 1024)}Ki` },
    addresses: [
      { type: "InternalIP", address: input.nodeIp },
      { type: "Hostname", address: input.name },
    ],
    conditions: conditions(input, nowMs),
    nodeInfo: machine.info,
    images: input.images
      .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, imagesMax)
      .map(imageEntry),
    ...(input.volumes.length === 0 ? {} : { volumesInUse: input.volumes }),
    ...(input.metricsPort === undefined ? {} : { daemonEndpoints: { kubeletEndpoint: { Port: input.metricsPort } } }),
  };
}

/** The object that a session begins with. */
export function nodeObject(
  name: string,
  labels: Readonly<Record<string, string>>,
  taints: readonly Taint[],
  status: NodeStatus,
): Node {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": status.nodeInfo?.architecture ?? "",
        ...labels,
      },
    },
    spec: taints.length === 0 ? {} : { taints },
    status,
  };
}

function conditions({ load, notReady }: NodeStatusInput, nowMs: number): readonly NodeCondition[] {
  const time = timestamp(nowMs);
  const times = { lastHeartbeatTime: time, lastTransitionTime: time };
  const pressure = (type: string, isHigh: boolean, high: readonly [string, string], low: readonly [string, string]) => {
    const [reason, message] = isHigh ? high : low;
    return { type, status: isHigh ? "True" : "False", reason, message, ...times };
  };
  return [
    pressure(
      "MemoryPressure",
      load.memoryAvailableBytes < memoryAvailableBytesMin,
      [
        "KubeletHasInsufficientMemory",
        `less than ${memoryAvailableBytesMin / 1024 / 1024} MiB of memory are available`,
      ],
      ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
    ),
    pressure(
      "DiskPressure",
      load.diskAvailableBytes < load.diskBytes * diskAvailableShareMin,
      ["KubeletHasDiskPressure", `less than ${diskAvailableShareMin * 100} % of the disk are free`],
      ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
    ),
    pressure(
      "PIDPressure",
      load.tasks > load.tasksMax * tasksShareMax,
      [
        "KubeletHasInsufficientPID",
        `more than ${tasksShareMax * 100} % of the kernel's ${load.tasksMax} tasks are used`,
      ],
      ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
    ),
    notReady === undefined
      ? { type: "Ready", status: "True", reason: "KubeletReady", message: "kubelet is posting ready status", ...times }
      : { type: "Ready", status: "False", reason: "KubeletNotReady", message: notReady, ...times },
  ];
}

function imageEntry({ tags, digests, sizeBytes }: Image): ContainerImage {
  return { names: [...digests, ...tags], sizeBytes };
}
