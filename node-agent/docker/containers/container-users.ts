// Users whom a container has made itself, for those who exec as one of them: its own passwd and group, where the image's do not know.
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import type { ContainerRoot, ImageLibrary } from "../../images/library.ts";
import { homeOf, resolveUser } from "../../images/users.ts";
import type { ContainerSpec } from "../../runtime/runtime.ts";

const fileBytesMax = 1024 * 1024;

/** Throws with the part that is not found. */
export async function containersOwnUser(
  images: Pick<ImageLibrary, "readPath">,
  root: ContainerRoot,
  text: string,
): Promise<ContainerSpec["user"] & { readonly home: string }> {
  const [passwd, group] = await Promise.all(["/etc/passwd", "/etc/group"].map((path) => readFile(images, root, path)));
  return { ...resolveUser(text, { passwd: passwd ?? "", group: group ?? "" }), home: homeOf(text, passwd ?? "") };
}

// As the container sees it; "" when it is not there, cannot be read, is no file, or is larger than such a file is. Whatever a container
// has put at its place, no more of it is read than that.
async function readFile(images: Pick<ImageLibrary, "readPath">, root: ContainerRoot, path: string): Promise<string> {
  const tar = await images.readPath(root, path).catch(() => undefined);
  if (tar === undefined) return "";
  const entries = extract();
  pipeline(tar, entries).catch(() => {}); // told by the loop
  try {
    for await (const entry of entries) {
      const { type, size = 0 } = entry.header;
      if (type !== "file" || size > fileBytesMax) return "";
      return Buffer.concat(await Array.fromAsync(entry as AsyncIterable<Buffer>)).toString();
    }
    return "";
  } catch {
    return "";
  } finally {
    (tar as Readable).destroy();
  }
}
