// The same questions asked of the runtimes and engines that this machine has.
import { mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command } from "./peer.ts";
import type { Result } from "./result.ts";

const containerPeers = ["naru-oci", "crun", "runc", "containerd", "docker", "podman"];
const imagePeers = {
  pull: ["containerd", "docker", "podman", "buildah"],
  build: ["buildkit", "docker", "podman", "buildah"],
};
const measureMsMax = 300_000;

/** Medians by question ("container-start") and peer. */
export type PeerFigures = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Nothing for a peer that is not here, or does not work here; a line on stderr says so. */
export async function measurePeers(): Promise<PeerFigures> {
  return await measureEach(containerPeers, (name, folder, cgroup) => ["peer-measure.ts", name, folder, cgroup]);
}

/** The same of images: pulls from the registry whose storage is named, or builds and commits. */
export async function measureImagePeers(question: "pull" | "build", storage: string): Promise<PeerFigures> {
  const figures = await measureEach(imagePeers[question], (name, folder, cgroup) => [
    ...["image-peer-measure.ts", question, name, folder, cgroup, storage],
  ]);
  return figures;
}

/** The results with what the peers need for the same. */
export function withPeers(own: readonly Result[], figures: PeerFigures): readonly Result[] {
  return own.map((result) => {
    const peer = figures[result.name];
    return peer === undefined ? result : { ...result, peer };
  });
}

async function measureEach(
  names: readonly string[],
  commandOf: (name: string, folder: string, cgroup: string) => readonly string[],
): Promise<PeerFigures> {
  const figures: Record<string, Record<string, number>> = {};
  for (const name of names) {
    try {
      for (const [question, value] of Object.entries(await measurePeer(name, commandOf)))
        figures[question] = { ...figures[question], [name]: value };
    } catch (error) {
      console.error(`${name} cannot be measured here: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return figures;
}

/** What it mounts is seen by nobody else and ends with it; so is its network. */
async function measurePeer(
  name: string,
  commandOf: (name: string, folder: string, cgroup: string) => readonly string[],
): Promise<Readonly<Record<string, number>>> {
  const folder = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-${name}-`));
  const cgroup = `naru-bench-${process.pid}-${name}`;
  const [script = "", ...words] = commandOf(name, folder, cgroup);
  const path = fileURLToPath(new URL(script, import.meta.url));
  const args = ["--mount", "--net", "--propagation", "private", process.execPath, path, ...words];
  try {
    return JSON.parse(await command("unshare", args, { timeout: measureMsMax })) as Record<string, number>;
  } finally {
    removeCgroups(cgroup);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** All whose names begin so. */
function removeCgroups(start: string): void {
  const trees = ["", ...readdirSync("/sys/fs/cgroup")].map((name) => join("/sys/fs/cgroup", name));
  for (const tree of trees) {
    for (const name of list(tree).filter((name) => name.startsWith(start))) {
      const top = join(tree, name);
      const below = list(top, "recursive").map((path) => join(top, path));
      for (const path of [...below.toSorted((a, b) => b.length - a.length), top]) removeDirectory(path);
    }
  }
}

function list(directory: string, depth: "here" | "recursive" = "here"): readonly string[] {
  try {
    return readdirSync(directory, { recursive: depth === "recursive", encoding: "utf8" });
  } catch {
    return [];
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // A file, or it is gone already.
  }
}
