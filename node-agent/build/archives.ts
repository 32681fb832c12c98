// Files of a context read by themselves, always through the confined helper; and which of them ADD unpacks.
import type { Readable } from "node:stream";
import { extract } from "tar-stream";
import type { Workshop } from "../images/workshop.ts";

export interface OpenFile {
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A plain file's content. */
export async function readFileOf(workshop: Workshop, root: string, path: string): Promise<OpenFile> {
  const { tar, done, kill } = workshop.pack(["pack", root, path, "file"]);
  const reader = tar.pipe(extract());
  const entries = reader[Symbol.asyncIterator]();
  const close = async () => {
    kill();
    tar.destroy();
    reader.destroy();
    await done.catch(() => {});
  };
  const first = await entries.next().catch(async (error) => {
    await close();
    throw error;
  });
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
    return await workshop.isTar(bytes);
  } finally {
    await close();
  }
}
