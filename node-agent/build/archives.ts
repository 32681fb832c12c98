// Files of a context read by themselves, always through the confined helper; and which of them ADD unpacks.
import type { Readable } from "node:stream";
import { constants, gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import type { Workshop } from "../images/workshop.ts";

const headBytes = 64 * 1024;
const tarMagicAt = 257;

export interface OpenFile {
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A plain file's content. */
export async function readFileOf(workshop: Workshop, root: string, path: string): Promise<OpenFile> {
  const { tar, done, kill } = workshop.pack(["pack", root, path, "file"]);
  const reader = tar.pipe(extract());
  const entries = reader[Symbol.asyncIterator]();
  const first = await entries.next();
  const close = async () => {
    kill();
    tar.destroy();
    reader.destroy();
    await done.catch(() => {});
  };
  if (first.done === true || first.value.header.type !== "file") {
    await close();
    throw new Error(`${path} is no plain file`);
  }
  return { bytes: first.value as unknown as Readable, close };
}

/** Whether a file is an archive that ADD unpacks: a tar, by its content, perhaps compressed. */
export async function looksLikeArchive(workshop: Workshop, root: string, path: string): Promise<boolean> {
  const { bytes, close } = await readFileOf(workshop, root, path);
  try {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of bytes) {
      parts.push(Buffer.from(part));
      size += part.length;
      if (size >= headBytes) break;
    }
    return isArchive(Buffer.concat(parts), path);
  } finally {
    await close();
  }
}

function isArchive(head: Buffer, path: string): boolean {
  if (isTar(head)) return true;
  if (head[0] === 0x1f && head[1] === 0x8b) {
    try {
      return isTar(gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 64 * headBytes }));
    } catch {
      return false;
    }
  }
  const isOther = ["28b52ffd", "fd377a58", "425a68"].some((magic) => head.toString("hex", 0, 4).startsWith(magic));
  return isOther && /\.(tar\.\w+|tzst|txz|tbz2?)$/i.test(path);
}

function isTar(bytes: Buffer): boolean {
  return bytes.toString("latin1", tarMagicAt, tarMagicAt + 5) === "ustar";
}
