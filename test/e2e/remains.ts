// What a cluster of `naru up` has on the machine, and its removal when the test that started it was killed.
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { realClock } from "../../lib/clock.ts";
import { removeHosts } from "../../node-agent/network/hosts.ts";
import { launcherCommand } from "../../node-agent/network/launcher-command.ts";
import { listLinks, readLink } from "../../node-agent/network/links.ts";
import { perform } from "../../node-agent/network/netlink.ts";
import { readMountinfo, removeTree } from "../../node-agent/runtime/cgroup-files.ts";
import { detectAllCgroups } from "../../node-agent/runtime/cgroups.ts";
import { unmountBelow } from "../../node-agent/volumes/mounts.ts";

/** Where a cluster lives. */
export interface Place {
  readonly name: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly cgroup: string;
  readonly launcherPath: string;
}

export interface Remains {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly links: readonly string[];
  readonly rules: readonly string[];
  readonly files: readonly string[];
}

export const nothing: Remains = { processes: [], mounts: [], cgroups: [], links: [], rules: [], files: [] };

/** Everything of the cluster that the machine still has, its state folder aside. */
export async function findRemains(place: Place): Promise<Remains> {
  const links = await perform(launcherCommand(place.launcherPath), [listLinks()]);
  return {
    processes: allProcesses()
      .filter((pid) => belongs(place, pid))
      .map((pid) => `${pid} ${commandLineOf(pid)}`),
    mounts: mountsOf(place),
    cgroups: cgroupFolders(place),
    links: (links[0]?.answers ?? [])
      .map(readLink)
      .filter(({ name, alias }) => name === `nb-${place.name}` || alias === `naru-hosts ${place.name}`)
      .map(({ name }) => name),
    rules: (await nftTables()).filter((line) => line.endsWith(place.name)),
    files: [...(existsSync(place.runDir) ? [place.runDir] : []), ...forwardingClaims(place)],
  };
}

/** Processes in the node's cgroups or its network namespace: agent, launcher, monitors, containers. */
export function processesOf(place: Place, node: string): readonly number[] {
  const namespace = inodeOf(join(place.runDir, "netns", node));
  return allProcesses().filter(
    (pid) =>
      isInCgroup(pid, `${place.cgroup}/${node}`) ||
      (namespace !== undefined && inodeOf(`/proc/${pid}/ns/net`) === namespace),
  );
}

/** Processes of the node's containers, in the order of their ids. */
export function containersOf(place: Place, node: string): readonly number[] {
  return allProcesses().filter((pid) => isInCgroup(pid, `${place.cgroup}/${node}`));
}

/** The node's agent; 0 when none runs. */
export function agentOf(place: Place, node: string): number {
  return commandOf(place, " agent ", ` --name ${node} `);
}

/** The node's launcher; 0 when none runs. */
export function launcherOf(place: Place, node: string): number {
  return allProcesses().find((pid) => commandLineOf(pid).includes(` serve ${place.runDir}/${node}/`)) ?? 0;
}

/** The control plane; 0 when none runs. */
export function serverOf(place: Place): number {
  return commandOf(place, " server ", ` --data ${place.dataDir} `);
}

function commandOf(place: Place, ...words: readonly string[]): number {
  const wanted = ["/cli/main.ts", place.dataDir, ...words];
  return (
    allProcesses().find((pid) => {
      const line = commandLineOf(pid);
      return !line.includes(" netns-run ") && wanted.every((word) => line.includes(word));
    }) ?? 0
  );
}

/** Removes all of a cluster, its state too, whatever ended in the middle. */
export async function removeRemains(place: Place): Promise<void> {
  for (let pids = living(place); pids.length > 0; pids = living(place)) {
    for (const pid of pids) kill(pid);
    await delay(20);
  }
  for (const path of [place.dataDir, place.runDir]) await unmountBelow(path);
  await removeHosts({ cluster: place.name, runDir: place.runDir, launcherPath: place.launcherPath });
  const layout = detectAllCgroups(readMountinfo());
  if (layout !== undefined) await removeTree(layout, place.cgroup, realClock);
  for (const path of [place.runDir, place.dataDir]) rmSync(path, { recursive: true, force: true });
}

function living(place: Place): readonly number[] {
  return allProcesses().filter((pid) => belongs(place, pid));
}

// By its cgroup, its network namespace, or a command line that names the cluster's folders.
function belongs(place: Place, pid: number): boolean {
  if (pid === process.pid) return false;
  if (isInCgroup(pid, place.cgroup)) return true;
  const words = commandLineOf(pid);
  if (words.includes(place.dataDir) || words.includes(`${place.runDir}/`)) return true;
  const namespace = inodeOf(`/proc/${pid}/ns/net`);
  const folder = join(place.runDir, "netns");
  return existsSync(folder) && readdirSync(folder).some((name) => inodeOf(join(folder, name)) === namespace);
}

function allProcesses(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => !isZombie(pid));
}

function isZombie(pid: number): boolean {
  return / Z /.test(readOr(`/proc/${pid}/stat`).replace(/^.*\)/, ""));
}

function isInCgroup(pid: number, path: string): boolean {
  return readOr(`/proc/${pid}/cgroup`)
    .split("\n")
    .some((line) => `${line.split(":").slice(2).join(":")}/`.includes(`${path}/`));
}

function commandLineOf(pid: number): string {
  return readOr(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

function mountsOf(place: Place): readonly string[] {
  return readMountinfoLines().filter((path) => path.startsWith(`${place.dataDir}/`) || path.startsWith(place.runDir));
}

// Mount points, in the order in which they were mounted.
function readMountinfoLines(): readonly string[] {
  return readOr("/proc/self/mountinfo")
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? []);
}

function cgroupFolders(place: Place): readonly string[] {
  const root = "/sys/fs/cgroup";
  const roots = [root, ...readdirSync(root).map((name) => join(root, name))];
  return roots.map((folder) => join(folder, place.cgroup)).filter((folder) => existsSync(folder));
}

// What the cluster borrowed of the machine's settings and has not given back.
function forwardingClaims(place: Place): readonly string[] {
  const folder = "/run/naru/forwarding";
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(`bridge nb-${place.name}`),
  );
}

async function nftTables(): Promise<readonly string[]> {
  return (await promisify(execFile)("nft", ["list", "tables"])).stdout.trim().split("\n");
}

function inodeOf(path: string): string | undefined {
  try {
    return path.startsWith("/proc/") ? /\[(\d+)\]/.exec(readlinkSync(path))?.[1] : String(statSync(path).ino);
  } catch {
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

// Processes go while we look.
function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
