// fsGroup on volumes that outlive pods: what lies in them already becomes the group's too. Everything is changed by what was opened,
// never by its path: other pods may write there at the same time. Source: Kubernetes, "Configure volume permission and ownership
// change policy for Pods".
import { constants, type Stats } from "node:fs";
import { chmod, chown, type FileHandle, open, readdir } from "node:fs/promises";
import { VolumeError } from "./volume-type.ts";

const pathOnly = 0o10000000;
const setGroupId = 0o2000;
const folderBits = setGroupId | 0o770;
const fileBits = 0o660;
/** Each folder on the way is open, and containers decide how deep it goes: no path reaches below this. */
const depthMax = 2048;

/** With the policy OnRootMismatch nothing is done when the folder itself is the group's already. */
export async function giveToGroup(path: string, gid: number, policy: string | undefined): Promise<void> {
  await using root = await open(path, pathOnly | constants.O_NOFOLLOW);
  const stats = await root.stat();
  if (policy === "OnRootMismatch" && stats.gid === gid && (stats.mode & folderBits) === folderBits) return;
  await give(root, stats, { gid, depth: 0, top: path });
}

interface Place {
  readonly gid: number;
  readonly depth: number;
  readonly top: string;
}

async function give(handle: FileHandle, stats: Stats, place: Place): Promise<void> {
  const { gid, depth, top } = place;
  if (stats.isSymbolicLink()) return;
  if (depth > depthMax)
    throw new VolumeError(`${top} has folders deeper than ${depthMax}: fsGroup cannot be set on it`);
  const path = `/proc/self/fd/${handle.fd}`;
  if (stats.isDirectory()) {
    for (const name of await readdir(path)) {
      const child = await open(`${path}/${name}`, pathOnly | constants.O_NOFOLLOW).catch(() => undefined);
      if (child === undefined) continue;
      await using opened = child;
      await give(opened, await opened.stat(), { ...place, depth: depth + 1 });
    }
  }
  if (stats.gid !== gid) await chown(path, stats.uid, gid);
  const mode = (stats.mode & 0o7777) | (stats.isDirectory() ? folderBits : fileBits);
  // chown takes setuid and setgid away.
  if (stats.gid !== gid || mode !== (stats.mode & 0o7777)) await chmod(path, mode);
}
