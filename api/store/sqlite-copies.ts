// Where copies of a SQLite store are while somebody reads them: beside it.
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

export function copyPath(storePath: string, number: number): string {
  return `${storePath}.copy-${number}`;
}

export async function removeCopy(path: string): Promise<void> {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) await rm(`${path}${suffix}`, { force: true });
}

/** What a server that was killed has left half made. */
export async function removeStaleCopies(storePath: string): Promise<void> {
  const prefix = `${basename(storePath)}.copy-`;
  const folder = dirname(storePath);
  for (const name of await readdir(folder)) if (name.startsWith(prefix)) await rm(join(folder, name), { force: true });
}
