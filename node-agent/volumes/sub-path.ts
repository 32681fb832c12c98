// subPath: a place inside a volume, named by a pod and possibly prepared by a hostile container. The path is walked one name at a
// time through open descriptors that follow no links, and the mount's source is the descriptor itself, so that nothing that is
// swapped meanwhile can lead outside. Source: CVE-2017-1002101, CVE-2021-25741 and their fixes in Kubernetes.
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { VolumeError } from "./volume-type.ts";

const pathOnly = 0o10000000;

export interface SafePath extends AsyncDisposable {
  /** Below /proc; other processes of the node can bind it while it is open. */
  readonly path: string;
  readonly isDirectory: boolean;
}

/** Opens `subPath` below `root`, making folders that are missing. Links inside the volume are followed as long as they stay inside. */
export async function openSubPath(root: string, subPath: string): Promise<SafePath> {
  const parts = subPath.split("/").filter((part) => part !== "" && part !== ".");
  if (subPath.startsWith("/") || parts.includes("..") || subPath.includes("\0")) {
    throw new VolumeError(`subPath ${JSON.stringify(subPath)} must be relative and must not contain ".."`);
  }
  const realRoot = await realpath(root);
  const names = await resolveInside(realRoot, parts);
  let handle = await open(realRoot, pathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    for (const name of names) {
      const next = await openChild(handle, name, subPath);
      await handle.close();
      handle = next;
    }
    const stats = await handle.stat();
    if (stats.isSymbolicLink()) throw escaped(subPath);
    const opened = handle;
    return {
      path: `/proc/${process.pid}/fd/${opened.fd}`,
      isDirectory: stats.isDirectory(),
      [Symbol.asyncDispose]: () => opened.close(),
    };
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  }
}

// The names below root once all links that exist are resolved; what does not exist yet stays as it was asked for.
async function resolveInside(realRoot: string, parts: readonly string[]): Promise<readonly string[]> {
  for (let known = parts.length; known >= 0; known--) {
    const real = await realpath(join(realRoot, ...parts.slice(0, known))).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (real === undefined) continue;
    const inside = relative(realRoot, real);
    if (inside === ".." || inside.startsWith(`..${sep}`)) throw escaped(parts.join("/"));
    return [...inside.split(sep).filter((part) => part !== ""), ...parts.slice(known)];
  }
  return parts;
}

async function openChild(parent: FileHandle, name: string, subPath: string): Promise<FileHandle> {
  const path = `/proc/self/fd/${parent.fd}/${name}`;
  const openIt = () => open(path, pathOnly | constants.O_NOFOLLOW);
  const child = await openIt().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR")
      throw new VolumeError(`subPath ${JSON.stringify(subPath)}: not a folder above ${name}`);
    if (error.code !== "ENOENT") throw error;
    const { mode } = await stat(`/proc/self/fd/${parent.fd}`);
    await mkdir(path, { mode: mode & 0o7777 }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause;
    });
    return openIt();
  });
  if ((await child.stat()).isSymbolicLink()) {
    await child.close();
    throw escaped(subPath);
  }
  return child;
}

function escaped(subPath: string): VolumeError {
  return new VolumeError(`subPath ${JSON.stringify(subPath)} leads outside of its volume`);
}
