// What a node says of itself: what it has, what of it pods may use, and whether it is well.
import { readFile, stat, statfs } from "node:fs/promises";
import { arch, availableParallelism, freemem, release, totalmem } from "node:os";
import type {
  ContainerImage,
  Node,
  NodeCondition,
  NodeStatus,
  NodeSystemInfo,
  Taint,
} from "../api/kinds/generated/types.ts";
import { bytes, canonicalQuantity, cpuMilli } from "../api/kinds/schema/quantity.ts";
import { timestamp } from "../lib/clock.ts";
import type { Pressure } from "./eviction/plan-eviction.ts";
import { allocatable, type NodeReserve } from "./eviction/reserve.ts";
import { type HugePages, readHugePages } from "./huge-pages.ts";
import type { Image } from "./images/images.ts";
import { readOptional } from "./runtime/container-directory.ts";
import type { RuntimeHandler } from "./runtime/runtime.ts";

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

export interface Disk {
  readonly diskBytes: number;
  readonly diskAvailableBytes: number;
  /** 0 where the file system makes them as they are needed. */
  readonly inodes: number;
  readonly inodesFree: number;
}

/** What is measured now and then. */
export interface NodeLoad extends Disk {
  readonly memoryBytes: number;
  readonly memoryAvailableBytes: number;
  readonly tasks: number;
  readonly tasksMax: number;
}

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
  const disk = await readDisk(dataDir);
  const kernelText = (name: string) => readOptional(`/proc/${name}`) ?? "";
  const meminfo = kernelText("meminfo");
  const maxima = ["sys/kernel/threads-max", "sys/kernel/pid_max"].map(kernelText);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  return {
    memoryAvailableBytes: available === undefined ? freemem() : Number(available) * 1024,
    ...disk,
    memoryBytes: totalmem(),
    tasks: Number(/\/(\d+) /.exec(kernelText("loadavg"))?.[1] ?? 0),
    tasksMax: Math.min(...maxima.map((text) => Number(text) || Number.POSITIVE_INFINITY)),
  };
}

/** Of a folder below another, when it has a disk of its own. */
export async function readDiskOf(dir: string, above: string): Promise<Disk | undefined> {
  const [own, outer] = await Promise.all([stat(dir), stat(above)]);
  return own.dev === outer.dev ? undefined : await readDisk(dir);
}

async function readDisk(dir: string): Promise<Disk> {
  const { blocks, bsize, bavail, files, ffree } = await statfs(dir);
  return { diskBytes: blocks * bsize, diskAvailableBytes: bavail * bsize, inodes: files, inodesFree: ffree };
}

export interface NodeStatusInput {
  readonly name: string;
  readonly nodeIp: string;
  readonly machine: NodeMachine;
  readonly load: NodeLoad;
  /** What the node is short of, and which threshold says so. */
  readonly pressures: ReadonlyMap<Pressure, string>;
  readonly reserved: NodeReserve;
  readonly images: readonly Image[];
  /** What makes containers here. */
  readonly handlers: readonly RuntimeHandler[];
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
    cpu: cpuText(machine.cpuMilli),
    memory: kibibytes(machine.memoryBytes),
    "ephemeral-storage": kibibytes(load.diskBytes),
    pods: String(machine.podsMax),
    ...Object.fromEntries(machine.hugePages.map((pages) => [pages.resource, kibibytes(pages.bytes)])),
  };
  const offered = allocatable(machine, load, input.reserved);
  return {
    capacity: resources,
    allocatable: {
      ...resources,
      cpu: cpuText(offered.cpuMilli),
      memory: kibibytes(offered.memoryBytes),
      "ephemeral-storage": kibibytes(offered.ephemeralStorageBytes),
    },
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
    runtimeHandlers: input.handlers,
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

function conditions({ pressures, notReady }: NodeStatusInput, nowMs: number): readonly NodeCondition[] {
  const time = timestamp(nowMs);
  const times = { lastHeartbeatTime: time, lastTransitionTime: time };
  const pressure = (type: Pressure, high: readonly [string, string], low: readonly [string, string]) => {
    const why = pressures.get(type);
    if (why === undefined) return { type, status: "False", reason: low[0], message: low[1], ...times };
    return { type, status: "True", reason: high[0], message: `${high[1]}: ${why}`, ...times };
  };
  return [
    pressure(
      "MemoryPressure",
      ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"],
      ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
    ),
    pressure(
      "DiskPressure",
      ["KubeletHasDiskPressure", "kubelet has disk pressure"],
      ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
    ),
    pressure(
      "PIDPressure",
      ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"],
      ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
    ),
    notReady === undefined
      ? { type: "Ready", status: "True", reason: "KubeletReady", message: "kubelet is posting ready status", ...times }
      : { type: "Ready", status: "False", reason: "KubeletNotReady", message: notReady, ...times },
  ];
}

function cpuText(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}

/** In the form that the API keeps: another one would differ from it for ever. */
function kibibytes(bytes: number): string {
  return canonicalQuantity(`${Math.floor(bytes / 1024)}Ki`);
}

function imageEntry({ tags, digests, sizeBytes }: Image): ContainerImage {
  return { names: [...digests, ...tags], sizeBytes };
}
