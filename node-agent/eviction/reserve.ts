// What of a machine is not for pods: its own programs' share, and what has to stay free. Pure.
// Source: Kubernetes documentation, "Reserve Compute Resources for System Daemons".
import { bytes, cpuMilli } from "../../api/kinds/schema/quantity.ts";
import type { HugePages } from "../huge-pages.ts";
import type { Disk, NodeLoad } from "../node-status.ts";
import type { Resources } from "../runtime/runtime.ts";
import { minOf, type Observations, type Threshold } from "./thresholds.ts";

export interface NodeReserve {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly ephemeralStorageBytes: number;
  readonly pids: number;
  /** Hard thresholds are kept free too. */
  readonly thresholds: readonly Threshold[];
}

interface Machine {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly hugePages: readonly HugePages[];
}

/** The agent, its launcher and the monitors of a few hundred containers. */
export const reservedDefault = "memory=128Mi,pid=1000";
/** Who says how much memory a node offers has left out what it keeps. */
export const reservedOfOffer = "pid=1000";

/** "cpu=500m,memory=1Gi,ephemeral-storage=5Gi,pid=1000"; throws for what it cannot read. */
export function parseReserved(text: string): Omit<NodeReserve, "thresholds"> {
  const amounts = new Map<string, string>();
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const [, name = "", amount = ""] = /^\s*(cpu|memory|ephemeral-storage|pid)=(\S+)\s*$/.exec(part) ?? [];
    if (name === "")
      throw new Error(`${JSON.stringify(part)} must look like cpu=500m, memory=1Gi, ephemeral-storage=5Gi or pid=1000`);
    amounts.set(name, amount);
  }
  const of = (name: string) => bytes(amounts.get(name) ?? 0);
  return {
    cpuMilli: cpuMilli(amounts.get("cpu") ?? 0),
    memoryBytes: of("memory"),
    ephemeralStorageBytes: of("ephemeral-storage"),
    pids: of("pid"),
  };
}

export function allocatable(
  machine: Machine,
  load: NodeLoad,
  reserved: NodeReserve,
): { readonly cpuMilli: number; readonly memoryBytes: number; readonly ephemeralStorageBytes: number } {
  const memory = podsMemoryBytesMax(machine, reserved);
  const kept = (signal: "memory.available" | "nodefs.available", capacity: number) =>
    Math.max(
      0,
      ...reserved.thresholds
        .filter((threshold) => threshold.signal === signal && threshold.graceMs === 0)
        .map((threshold) => minOf(threshold, { available: 0, capacity })),
    );
  return {
    cpuMilli: Math.max(0, machine.cpuMilli - reserved.cpuMilli),
    memoryBytes: Math.max(0, memory - kept("memory.available", machine.memoryBytes)),
    ephemeralStorageBytes: Math.max(
      0,
      load.diskBytes - reserved.ephemeralStorageBytes - kept("nodefs.available", load.diskBytes),
    ),
  };
}

/** Of the cgroup above all pods: whatever they do, the node's own programs have theirs. */
export function nodeLimits(machine: Machine, load: NodeLoad, reserved: NodeReserve): Resources {
  const cpu = Math.max(0, machine.cpuMilli - reserved.cpuMilli);
  return {
    cpuShares: Math.max(2, Math.floor((cpu * 1024) / 1000)),
    memoryBytesMax: podsMemoryBytesMax(machine, reserved),
    ...(Number.isFinite(load.tasksMax) ? { pidsMax: Math.max(1, load.tasksMax - reserved.pids) } : {}),
  };
}

/** `podsWorkingSetBytes`: of that cgroup; undefined where it cannot be read. */
export function observationsOf(
  load: NodeLoad,
  pods: { readonly workingSetBytes: number; readonly bytesMax: number } | undefined,
  images: Disk | undefined,
): Observations {
  const onMachine = { available: load.memoryAvailableBytes, capacity: load.memoryBytes };
  const ofPods =
    pods === undefined ? onMachine : { available: pods.bytesMax - pods.workingSetBytes, capacity: pods.bytesMax };
  return {
    // Whichever is nearer to its end.
    "memory.available": ofPods.available < onMachine.available ? ofPods : onMachine,
    "nodefs.available": { available: load.diskAvailableBytes, capacity: load.diskBytes },
    // Some file systems make inodes as they are needed, and say 0.
    ...(load.inodes > 0 ? { "nodefs.inodesFree": { available: load.inodesFree, capacity: load.inodes } } : {}),
    ...(Number.isFinite(load.tasksMax)
      ? { "pid.available": { available: load.tasksMax - load.tasks, capacity: load.tasksMax } }
      : {}),
    ...(images === undefined
      ? {}
      : { "imagefs.available": { available: images.diskAvailableBytes, capacity: images.diskBytes } }),
    ...(images === undefined || images.inodes === 0
      ? {}
      : { "imagefs.inodesFree": { available: images.inodesFree, capacity: images.inodes } }),
  };
}

// What is set aside for huge pages is nobody's memory.
function podsMemoryBytesMax(machine: Machine, reserved: NodeReserve): number {
  const setAside = machine.hugePages.reduce((sum, pages) => sum + pages.bytes, 0);
  return Math.max(2 ** 20, machine.memoryBytes - setAside - reserved.memoryBytes);
}
