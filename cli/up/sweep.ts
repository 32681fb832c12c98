// What a cluster of `naru up` left on the machine because somebody was killed: found by what the kernel knows of it, and removed.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { realClock } from "../../lib/clock.ts";
import { cgroupPathsOf, readMountinfo, removeTree } from "../../node-agent/runtime/cgroup-files.ts";
import { detectAllCgroups } from "../../node-agent/runtime/cgroups.ts";
import { isAlive, type ProcessIdentity, startTicksOf } from "../../node-agent/runtime/container-directory.ts";
import { unmountBelow } from "../../node-agent/volumes/mounts.ts";

export interface ClusterPlace {
  readonly runDir: string;
  readonly dataDir: string;
  /** Above those of its nodes. */
  readonly cgroup: string;
}

/** What tells whose a process is. */
export interface FoundProcess extends ProcessIdentity {
  readonly commandLine: string;
  /** In every hierarchy. */
  readonly cgroups: readonly string[];
  /** Inode of its network namespace. */
  readonly network: string | undefined;
}

const triesMax = 400;
const pauseMs = 25;

/**
 * Ends every process of the cluster's nodes and of its control plane, then removes mounts and cgroups. Links, namespaces and rules are
 * the hosts' (openHosts). Nothing to do when all ended well.
 */
export async function sweepCluster(place: ClusterPlace, children: readonly ProcessIdentity[]): Promise<void> {
  for (let tries = 0; ; tries++) {
    const left = planSweep(findProcesses(), { place, children, hosts: hostNetworks(place), own: networkOf("self") });
    if (left.length === 0) break;
    if (tries === triesMax)
      throw new Error(`processes do not end, even killed: ${left.map(({ pid }) => pid).join(", ")}`);
    for (const one of left) kill(one);
    await delay(pauseMs);
  }
  await unmountBelow(place.runDir);
  for (const node of nodeFolders(place))
    await unmountBelow(join(place.dataDir, node, "pods"), join(place.dataDir, node, "docker", "volumes"));
  const layout = detectAllCgroups(readMountinfo());
  if (layout !== undefined) await removeTree(layout, place.cgroup, realClock);
}

/** Which of the processes are the cluster's. */
export function planSweep(
  processes: readonly FoundProcess[],
  facts: {
    readonly place: ClusterPlace;
    readonly children: readonly ProcessIdentity[];
    readonly hosts: readonly string[];
    readonly own: string | undefined;
  },
): readonly FoundProcess[] {
  const { place, children, own } = facts;
  // A launcher outlives the namespace's name: where it is, its monitors are.
  const launchers = processes.filter(({ commandLine }) => commandLine.includes(`\0serve\0${place.runDir}/`));
  const networks = new Set([...facts.hosts, ...launchers.map(({ network }) => network)]);
  // Whatever went wrong, the machine's own network is nobody's host.
  networks.delete(own);
  networks.delete(undefined);
  return processes.filter(
    (one) =>
      launchers.includes(one) ||
      networks.has(one.network) ||
      children.some(({ pid, startTicks }) => pid === one.pid && startTicks === one.startTicks) ||
      one.cgroups.some((path) => `${path}/`.startsWith(`${place.cgroup}/`)),
  );
}

function findProcesses(): readonly FoundProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((name) => {
      const pid = Number(name);
      const startTicks = startTicksOf(pid);
      if (startTicks === undefined) return [];
      const commandLine = read(`/proc/${name}/cmdline`);
      return [{ pid, startTicks, commandLine, cgroups: cgroupPathsOf(pid), network: networkOf(name) }];
    });
}

// Files of namespaces have their inodes on one file system.
function hostNetworks({ runDir }: ClusterPlace): readonly string[] {
  const folder = join(runDir, "netns");
  const { dev } = statSync("/proc/self/ns/net");
  return list(folder).flatMap((name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return found?.dev === dev ? [String(found.ino)] : [];
  });
}

function networkOf(pid: string): string | undefined {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1];
  } catch {
    return undefined;
  }
}

function nodeFolders({ dataDir }: ClusterPlace): readonly string[] {
  return list(dataDir).filter((name) => /^node-\d+$/.test(name));
}

function kill(one: ProcessIdentity): void {
  try {
    if (isAlive(one)) process.kill(one.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

// Processes go while we look.
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
