// Users whom a container has made itself, for those who exec as one of them: its own passwd and group, where the image's do not know.
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

// As the container sees it; "" when it is not there, is no file, or is larger than such a file is.
async function readFile(images: Pick<ImageLibrary, "readPath">, root: ContainerRoot, path: string): Promise<string> {
  const tar = await images.readPath(root, path).catch(() => undefined);
  if (tar === undefined) return "";
  const entries = extract();
  tar.pipe(entries);
  let text = "";
  for await (const entry of entries) {
    const { type, size = 0 } = entry.header;
    if (type !== "file" || size > fileBytesMax) entry.resume();
    else for await (const part of entry) text += String(part);
  }
  return text;
}
