// Containers' files seen from outside: what they changed, all they see as a tar, single paths out and in. Every path is resolved within
// the container's root by the confined helper, so that a link which a container moves about leads nowhere else.
import { basename } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Folder } from "./commit.ts";
import { HelperError, runHelper, startHelper, startPacking } from "./helper.ts";
import { PullError } from "./images.ts";
import {
  type Change,
  type ContainerRoot,
  NoSuchLayerError,
  NoSuchPathError,
  type PathStat,
  type WritePathOptions,
} from "./library.ts";
import { clearVolatile, type WritableLayers } from "./overlay.ts";

export interface FilesContext {
  readonly folder: Folder;
  readonly writable: WritableLayers;
}

interface ContainerLayer {
  readonly diffIds: readonly string[];
  readonly folder: string;
  readonly upper: string;
}

const kinds = { A: "added", C: "modified", D: "deleted" } as const;
const fileTypes: Readonly<Record<string, number>> = { f: 0o100000, d: 0o040000, l: 0o120000, o: 0 };

export async function listChanges(context: FilesContext, containerId: string): Promise<readonly Change[]> {
  const { diffIds, upper } = layerOf(context, containerId);
  const output = await runHelper(["changes", `dir:${upper}`, context.folder.layers.root(diffIds)]);
  return words(output).map((word) => ({
    path: `/${word.slice(1)}`,
    kind: kinds[word[0] as keyof typeof kinds] ?? "modified",
  }));
}

export function exportContainer(context: FilesContext, containerId: string, signal: AbortSignal | undefined): Readable {
  const { diffIds, upper } = layerOf(context, containerId);
  return packed(["pack", context.folder.layers.rootWith(diffIds, upper), "", ""], signal);
}

export async function statPath(
  context: FilesContext,
  root: ContainerRoot,
  path: string,
): Promise<PathStat | undefined> {
  const inside = insidePath(path);
  const [head, linkTarget = ""] = words(await runHelper(["stat", rootOf(context, root), inside]));
  if (head === undefined) return undefined;
  const [kind = "o", mode = "0", , , size = "0", mtime = "0"] = head.split(" ");
  return {
    name: inside === "" ? (root.mount?.name ?? "/") : basename(inside),
    sizeBytes: Number(size),
    mode: (fileTypes[kind] ?? 0) | Number.parseInt(mode, 8),
    mtimeMs: Number(mtime) * 1000,
    linkTarget,
  };
}

export async function readPath(
  context: FilesContext,
  root: ContainerRoot,
  { path, signal }: { readonly path: string; readonly signal: AbortSignal | undefined },
): Promise<Readable> {
  const inside = insidePath(path);
  if ((await statPath(context, root, path)) === undefined) throw new NoSuchPathError(path, root.containerId);
  const name = inside === "" ? (root.mount?.name ?? ".") : basename(inside);
  const prefix = path.endsWith("/.") ? "." : name;
  return packed(["pack", rootOf(context, root), inside, prefix], signal);
}

export async function writePath(
  context: FilesContext,
  root: ContainerRoot,
  path: string,
  options: WritePathOptions,
): Promise<void> {
  const { owner, signal } = options;
  const layer = layerOf(context, root.containerId);
  const ownsLayer = root.pid === undefined && root.mount === undefined;
  const place = ownsLayer
    ? context.folder.layers.root(layer.diffIds, { upper: layer.upper, work: `${layer.folder}/work` })
    : rootOf(context, root);
  const ownerWord = owner === undefined ? "" : `${owner.uid}:${owner.gid}`;
  const { child, done } = startHelper([
    "write",
    place,
    insidePath(path),
    options.keepKinds === true ? "1" : "0",
    ownerWord,
  ]);
  if (child.stdin === null) throw new Error("bug: helper without stdin");
  const outcome = done.then(
    () => undefined,
    (error: unknown) => error,
  );
  const sent = await pipeline(options.tar, child.stdin, signal === undefined ? {} : { signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  const failure = await outcome;
  if (ownsLayer) await clearVolatile(layer.folder);
  signal?.throwIfAborted();
  if (failure instanceof HelperError && failure.message === "no such directory")
    throw new NoSuchPathError(path, root.containerId);
  if (failure instanceof HelperError)
    throw new PullError(failure.kind === "nospace" ? "NoSpace" : "BadLayer", `archive ${failure.message}`, {
      cause: failure,
    });
  if (failure !== undefined) throw failure;
  if (sent !== undefined) throw sent;
}

/** Bytes of what containers have written, in order. */
export async function measureWritten(
  { writable }: FilesContext,
  containerIds: readonly string[],
): Promise<readonly number[]> {
  if (containerIds.length === 0) return [];
  const output = await runHelper(["measure", ...containerIds.map((id) => `${writable.folderOf(id)}/upper`)]);
  return output.toString().split("\n").slice(0, containerIds.length).map(Number);
}

function layerOf({ folder, writable }: FilesContext, containerId: string): ContainerLayer {
  const imageId = writable.imageOf(containerId);
  const image = folder.records.current.images.find(({ id }) => id === imageId);
  if (image === undefined) throw new NoSuchLayerError(containerId);
  const own = writable.folderOf(containerId);
  return { diffIds: image.layers, folder: own, upper: `${own}/upper` };
}

function rootOf(context: FilesContext, { containerId, pid, mount }: ContainerRoot): string {
  if (mount !== undefined) return `dir:${mount.directory}`;
  const { diffIds, upper } = layerOf(context, containerId);
  return pid === undefined ? context.folder.layers.rootWith(diffIds, upper) : `process:${pid}`;
}

// Without slashes around, "." and "..": what the helper takes. ".." of a link's target is the kernel's to resolve.
function insidePath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function packed(args: readonly string[], signal: AbortSignal | undefined): Readable {
  const { tar, done, kill } = startPacking(args);
  const output = new PassThrough({ highWaterMark: 1024 * 1024 });
  // The end of the tar means nothing before the helper said that it is whole.
  tar.pipe(output, { end: false });
  tar.on("error", (error) => output.destroy(error));
  done.then(
    () => output.end(),
    (error) => output.destroy(error instanceof Error ? error : undefined),
  );
  const onAbort = () => output.destroy(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  output.once("close", () => {
    signal?.removeEventListener("abort", onAbort);
    kill();
  });
  return output;
}

// Each ended by a zero byte; the line at the end is none of them.
function words(output: Buffer): readonly string[] {
  return output.toString().split("\0").slice(0, -1);
}
