// The files of an image laid into a folder, as far as its owner may make them: no devices, nobody else's files. What is in the image is a
// stranger's, so nothing is written through a link: links come last.
import { createWriteStream } from "node:fs";
import { chmod, link, mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";

export async function receiveFiles(tar: AsyncIterable<Buffer>, folder: string): Promise<void> {
  const links: { readonly path: string; readonly target: string }[] = [];
  const modes: { readonly path: string; readonly mode: number }[] = [];
  const reader = Readable.from(tar, { objectMode: false }).pipe(extract());
  for await (const entry of reader) {
    const { name, type, mode = 0o644, linkname } = entry.header;
    if (name.split("/").includes(".."))
      throw new Error(`the image has a file that leads outside of ${folder}: ${name}`);
    const path = join(folder, name);
    if (type === "directory") {
      await mkdir(path, { recursive: true });
      modes.push({ path, mode: mode & 0o777 });
    } else if (type === "symlink") links.push({ path, target: linkname ?? "" });
    else if (type === "link") {
      await mkdir(dirname(path), { recursive: true });
      await link(join(folder, linkname ?? ""), path);
    } else if (type === "file" || type === "contiguous-file") {
      await mkdir(dirname(path), { recursive: true });
      // Only a file that is new: one that is there may be a link.
      await pipeline(entry, createWriteStream(path, { flags: "wx", mode: mode & 0o777 }));
      continue;
    }
    entry.resume();
  }
  for (const { path, target } of links) {
    await mkdir(dirname(path), { recursive: true });
    await symlink(target, path);
  }
  // Deepest first: a directory that may not be written to holds its files already.
  for (const { path, mode } of modes.toReversed()) await chmod(path, mode | 0o700);
}
