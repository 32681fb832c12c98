// What tests that were killed left on the machine, known by the process in its name, and its removal before the next one starts.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { testOf } from "../folders.ts";
import { removeRemains } from "./remains.ts";

const cgroupRoot = "/sys/fs/cgroup";

/** Clusters, launchers with their containers, and other programs that such tests started, with their folders. */
export async function removeDeadTests(launcherPath: string): Promise<void> {
  const clusters = list("/run/naru");
  const cgroups = [cgroupRoot, ...list(cgroupRoot).map((name) => join(cgroupRoot, name))].flatMap(list);
  const folders = list(tmpdir()).map((name) => join(tmpdir(), name));
  const dead = (name: string) => isDead(testOf(name));
  const names = new Set([...clusters, ...cgroups.map((name) => name.replace(/^naru-/, ""))].filter(dead));
  for (const name of names) await removeRemains(placeOf(name, launcherPath, join(tmpdir(), `naru-${name}-gone`)));
  for (const folder of folders.filter((path) => dead(basename(path))))
    await removeRemains(placeOf(clusterOf(basename(folder)), launcherPath, folder));
}

function placeOf(name: string, launcherPath: string, dataDir: string) {
  return { name, dataDir, runDir: `/run/naru/${name}`, cgroup: `/naru-${name}`, launcherPath };
}

// "test-123p0" of "naru-test-123p0-data-Ab3dE6".
function clusterOf(folder: string): string {
  return folder.split("-").slice(1, 3).join("-");
}

// Its number may be another program's by now.
function isDead(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  const path = `/proc/${pid}/cmdline`;
  return !existsSync(path) || !readFileSync(path, "utf8").includes("node");
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
