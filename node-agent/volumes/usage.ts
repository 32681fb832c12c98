// How much a folder takes on its disk, links within it counted once. It stops looking when it knows enough: a container may have
// made millions of files.
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";

const blockBytes = 512;
/** Files without content take room too: an inode each. */
const inodeBytes = 256;

/** Bytes below `path`, or some number above `bytesMax` once it is passed. 0 when there is nothing. */
export async function bytesBelow(path: string, bytesMax: number): Promise<number> {
  const seen = new Set<bigint>();
  const folders = [path];
  let bytes = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await opendir(folder).catch(() => undefined);
    if (entries === undefined) continue;
    for await (const entry of entries) {
      const file = join(folder, entry.name);
      // What goes meanwhile takes nothing.
      const stats = await lstat(file, { bigint: true }).catch(() => undefined);
      if (stats === undefined) continue;
      if (stats.isDirectory()) folders.push(file);
      else if (stats.nlink > 1n) {
        if (seen.has(stats.ino)) continue;
        seen.add(stats.ino);
      }
      bytes += Number(stats.blocks) * blockBytes + inodeBytes;
      if (bytes > bytesMax) return bytes;
    }
  }
  return bytes;
}
