// Files as a tar stream, there and back. What comes from a container is hostile: nothing is written outside of the destination, and no
// links are made here.
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { constants, lstat, mkdir, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header, pack } from "tar-stream";

/** Writes a file or a folder, under the name that it is to have, and ends the stream. Links stay links; devices and sockets are left out. */
export async function sendTar(
  path: string,
  name: string,
  { output, warn }: { readonly output: Writable; readonly warn: (message: string) => void },
): Promise<void> {
  const tar = pack();
  const adding = (async () => {
    await addEntry(path, name);
    tar.finalize();
  })();
  adding.catch((error: Error) => tar.destroy(error));
  await Promise.all([adding, pipeline(tar, output)]);

  async function addEntry(from: string, as: string): Promise<void> {
    const info = await lstat(from);
    const header = { name: as, mode: info.mode & 0o7777, mtime: info.mtime };
    if (info.isDirectory()) {
      tar.entry({ ...header, type: "directory" });
      for (const child of await readdir(from)) await addEntry(join(from, child), `${as}/${child}`);
    } else if (info.isFile()) {
      const entry = tar.entry({ ...header, size: info.size });
      await pipeline(createReadStream(from, { end: Math.max(0, info.size - 1) }), entry);
    } else if (info.isSymbolicLink()) {
      tar.entry({ ...header, type: "symlink", linkname: await readlink(from) });
    } else warn(`${from} is neither a file nor a folder nor a link: left out`);
  }
}

export interface Receiving {
  /** What the archive's first name becomes: the destination itself. */
  readonly root: string;
  readonly destination: string;
  readonly warn: (message: string) => void;
}

/** Unpacks files and folders; resolves with how many files came. */
export async function receiveTar(input: Readable, receiving: Receiving): Promise<number> {
  const entries = extract();
  const feeding = pipeline(input, entries);
  feeding.catch(() => {}); // told by the loop below
  let files = 0;
  for await (const entry of entries) {
    const path = placeOf(entry.header.name, receiving);
    if (path !== undefined && entry.header.type === "directory") await mkdir(path, { recursive: true });
    else if (path !== undefined && entry.header.type === "file") {
      await writeFile(path, entry.header, entry);
      files++;
    } else receiving.warn(`${entry.header.name} is ${entry.header.type ?? "odd"}: left out`);
    entry.resume();
  }
  await feeding;
  return files;
}

/** Where an entry goes; undefined for one that would go elsewhere. */
export function placeOf(name: string, { root, destination }: Receiving): string | undefined {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || name.includes("\0") || parts[0] !== root) return undefined;
  return join(destination, ...parts.slice(1));
}

async function writeFile(path: string, { mode, size }: Header, content: AsyncIterable<unknown>): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  // A link that stands there is not followed: where it leads was not asked for.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = await open(path, flags, mode & 0o777);
  const output = file.createWriteStream();
  if (size === 0) {
    output.end();
    await once(output, "close");
  } else await pipeline(Readable.from(content), output);
}
