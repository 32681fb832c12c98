// How much a folder takes on its disk, links within it counted once. It stops looking when it knows enough: a container may have
// made millions of files.
import { constants } from "node:fs";
import { lstat, open, opendir, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";

const blockBytes = 512;
/** Files without content take room too: an inode each. */
const inodeBytes = 256;

export interface DiskUse {
  readonly bytes: number;
  readonly inodes: number;
}

/** Bytes below `path`, or some number above `bytesMax` once it is passed. 0 when there is nothing. */
export async function bytesBelow(path: string, bytesMax: number): Promise<number> {
  return (await usageBelow(path, { bytes: bytesMax, inodes: Number.POSITIVE_INFINITY })).bytes;
}

/** What is below `path`; once one of `max` is passed, what was seen so far. */
export async function usageBelow(path: string, max: DiskUse): Promise<DiskUse> {
  const root = await realpath(path).catch(() => undefined);
  if (root === undefined) return { bytes: 0, inodes: 0 };
  const seen = new Set<bigint>();
  const folders: Folder[] = [{ above: undefined, name: root }];
  let bytes = 0;
  let inodes = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    await using opened = await openBelow(root, pathOf(folder));
    if (opened === undefined) continue;
    for await (const entry of await opendir(opened.path)) {
      // What goes meanwhile takes nothing.
      const stats = await lstat(join(opened.path, entry.name), { bigint: true }).catch(() => undefined);
      if (stats === undefined) continue;
      if (stats.isDirectory()) folders.push({ above: folder, name: entry.name });
      else if (stats.nlink > 1n) {
        if (seen.has(stats.ino)) continue;
        seen.add(stats.ino);
      }
      bytes += Number(stats.blocks) * blockBytes + inodeBytes;
      inodes++;
      if (bytes > max.bytes || inodes > max.inodes) return { bytes, inodes };
    }
  }
  return { bytes, inodes };
}

/** Not as a path: millions of folders may wait, each at the end of a long one. */
interface Folder {
  readonly above: Folder | undefined;
  readonly name: string;
}

function pathOf(folder: Folder): string {
  const names: string[] = [];
  for (let each: Folder | undefined = folder; each !== undefined; each = each.above) names.unshift(each.name);
  return join(...names);
}

/** A folder by what was opened: one that a container has meanwhile made a link out of its volume is not there. */
async function openBelow(
  root: string,
  folder: string,
): Promise<(AsyncDisposable & { readonly path: string }) | undefined> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(
    () => undefined,
  );
  if (handle === undefined) return undefined;
  const path = `/proc/self/fd/${handle.fd}`;
  const real = await readlink(path);
  if (real === root || real.startsWith(`${root}/`)) return { path, [Symbol.asyncDispose]: () => handle.close() };
  await handle.close();
  return undefined;
}
