// Fills a fresh volume with what the image has at its place.
import { readdirSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { startHelper } from "../../images/helper.ts";
import type { DockerParts } from "./parts.ts";

const directoryKind = 0o040000;
const kindMask = 0o170000;

/** Silent when the volume holds something already or the image has no folder there. The container must have its layer. */
export async function copyUp(
  { images }: Pick<DockerParts, "images">,
  containerId: string,
  paths: { readonly from: string; readonly to: string },
): Promise<void> {
  if (readdirSync(paths.to).length > 0) return;
  const root = { containerId };
  const found = await images.statPath(root, paths.from);
  if (found === undefined || (found.mode & kindMask) !== directoryKind) return;
  const tar = await images.readPath(root, `${paths.from}/.`);
  // The folder itself comes first, with its owner and its mode.
  const { child, done } = startHelper(["write", `dir:${paths.to}`, "", "0", ""]);
  if (child.stdin === null) throw new Error("bug: helper without stdin");
  await Promise.all([pipeline(tar, child.stdin), done]);
}
