// A folder of files that changes all at once: files live in a dated folder, `..data` points at it, names point through `..data`.
// Source: k8s.io/kubernetes/pkg/volume/util/atomic_writer.go, whose layout programs rely on to notice changes.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { VolumeError } from "./volume-type.ts";

const setGroupId = 0o2000;
/** With a group of its own, what is made in a folder has that too. */
const folderAccess: Access = { mode: setGroupId | 0o755 };

export interface FileToWrite {
  readonly content: Uint8Array;
  readonly mode: number;
  /** Whose it is; absent: root's. */
  readonly uid?: number | undefined;
}

type Access = Omit<FileToWrite, "content">;

/** By path relative to the folder. */
export type Files = ReadonlyMap<string, FileToWrite>;

export interface FilesOwner {
  /** Files are readable for this group too; undefined: only as their modes say. */
  readonly fsGroup: number | undefined;
}

/** Makes the folder hold exactly these files; true when something changed. A reader sees the old ones or the new ones. */
export async function writeFiles(dir: string, files: Files, owner: FilesOwner): Promise<boolean> {
  for (const path of files.keys()) checkPath(path);
  if (mkdirSync(dir, { recursive: true }) !== undefined) {
    writeFirst(dir, files, owner);
    return true;
  }
  await give(dir, folderAccess, owner);
  const current = await readlink(join(dir, "..data")).catch(() => undefined);
  if (current !== undefined && (await isSame(join(dir, current), files))) {
    await linkNames(dir, files);
    return false;
  }
  const fresh = await mkdtemp(join(dir, datedPrefix()));
  await give(fresh, folderAccess, owner);
  for (const [path, { content, ...access }] of files) {
    const target = join(fresh, path);
    await makeFolders(fresh, dirname(path), owner);
    await writeFile(target, content);
    await give(target, access, owner);
  }
  await rm(join(dir, "..data_tmp"), { force: true });
  await symlink(fresh.slice(dir.length + 1), join(dir, "..data_tmp"));
  await rename(join(dir, "..data_tmp"), join(dir, "..data"));
  await linkNames(dir, files);
  await removeOld(dir, fresh.slice(dir.length + 1), files);
  return true;
}

// Into a folder that was just made: a few microseconds per call, where each that is waited for costs ten times as much; every pod waits
// for such files.
function writeFirst(dir: string, files: Files, owner: FilesOwner): void {
  giveSync(dir, folderAccess, owner);
  const fresh = mkdtempSync(join(dir, datedPrefix()));
  giveSync(fresh, folderAccess, owner);
  for (const [path, { content, ...access }] of files) {
    let folder = fresh;
    for (const name of path.split("/").slice(0, -1)) {
      folder = join(folder, name);
      if (mkdirSync(folder, { recursive: true }) !== undefined) giveSync(folder, folderAccess, owner);
    }
    writeFileSync(join(fresh, path), content);
    giveSync(join(fresh, path), access, owner);
  }
  symlinkSync(fresh.slice(dir.length + 1), join(dir, "..data_tmp"));
  renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
  for (const name of topNames(files)) symlinkSync(join("..data", name), join(dir, name));
}

function datedPrefix(): string {
  return `..${new Date().toISOString().slice(0, 19).replaceAll(/[-:T]/g, "_")}.`;
}

// Not through the modes of open and mkdir, which the umask cuts.
async function give(path: string, access: Access, owner: FilesOwner): Promise<void> {
  if (changesHands(access, owner)) await chown(path, access.uid ?? 0, owner.fsGroup ?? 0);
  await chmod(path, givenMode(access.mode, owner));
}

function giveSync(path: string, access: Access, owner: FilesOwner): void {
  if (changesHands(access, owner)) chownSync(path, access.uid ?? 0, owner.fsGroup ?? 0);
  chmodSync(path, givenMode(access.mode, owner));
}

function changesHands({ uid }: Access, { fsGroup }: FilesOwner): boolean {
  return uid !== undefined || fsGroup !== undefined;
}

function givenMode(mode: number, { fsGroup }: FilesOwner): number {
  const folder = (mode & setGroupId) !== 0;
  return fsGroup === undefined ? mode & 0o777 : mode | (folder ? 0o550 : 0o440);
}

async function makeFolders(root: string, path: string, owner: FilesOwner): Promise<void> {
  let folder = root;
  for (const name of path === "." ? [] : path.split("/")) {
    folder = join(folder, name);
    if ((await mkdir(folder, { recursive: true })) !== undefined) await give(folder, folderAccess, owner);
  }
}

async function linkNames(dir: string, files: Files): Promise<void> {
  for (const name of topNames(files)) {
    const link = join(dir, name);
    const there = await readlink(link).catch(() => undefined);
    if (there === undefined) await symlink(join("..data", name), link);
  }
}

async function removeOld(dir: string, keep: string, files: Files): Promise<void> {
  const names = topNames(files);
  for (const name of await readdir(dir)) {
    if (name === "..data" || name === keep || names.has(name)) continue;
    await rm(join(dir, name), { recursive: true, force: true });
  }
}

function topNames(files: Files): ReadonlySet<string> {
  return new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
}

async function isSame(dir: string, files: Files): Promise<boolean> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return false;
  const found = entries.filter((entry) => !entry.isDirectory());
  if (found.length !== files.size) return false;
  for (const [path, { content, mode }] of files) {
    const there = await readFile(join(dir, path)).catch(() => undefined);
    if (there === undefined || !there.equals(content)) return false;
    const { mode: modeThere } = await lstat(join(dir, path));
    // fsGroup has added group bits.
    if ((modeThere & mode & 0o777) !== (mode & 0o777)) return false;
  }
  return true;
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (
    path === "" ||
    path.startsWith("/") ||
    parts.includes("..") ||
    parts[0]?.startsWith("..") === true ||
    path.includes("\0")
  ) {
    throw new VolumeError(
      `invalid path ${JSON.stringify(path)}: must be relative and must not contain or start with ".."`,
    );
  }
}
