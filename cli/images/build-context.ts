// A build's context on its way to a node: a folder as a tar, without what .dockerignore names.
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { type Ignore, parseIgnore } from "../../node-agent/build/dockerfile/patterns.ts";
import { UsageError } from "../command.ts";

export interface Context {
  readonly tar: AsyncIterable<Uint8Array>;
  /** Within the context; absent when its text is given. */
  readonly dockerfile?: string;
  readonly dockerfileText?: string;
}

/** A folder with a Dockerfile that is not in it. */
export async function readContextWith(path: string, dockerfileText: string): Promise<Context> {
  await checkFolder(path);
  const ignore = await readFile(join(path, ".dockerignore"), "utf8").catch(() => "");
  return { tar: packFolder(resolve(path), parseIgnore(ignore), new Set([".dockerignore"])), dockerfileText };
}

/** What gzip, zstd, xz and bzip2 begin with. */
const compressed = ["1f8b", "28b52ffd", "fd377a585a00", "425a68"];

/** `path` is a folder, or "-" for a tar or a Dockerfile on standard input; a `file` of "-" is a Dockerfile there. */
export async function readContext(path: string, file: string | undefined): Promise<Context> {
  if (path === "-") return await readStandardInput(file);
  if (file === "-") return await readContextWith(path, await text(process.stdin));
  await checkFolder(path);
  const dockerfile = resolve(file ?? join(path, "Dockerfile"));
  const inside = relative(resolve(path), dockerfile);
  const isInside = !inside.startsWith("..") && inside !== "";
  const content = await readFile(dockerfile, "utf8").catch((cause) => {
    throw new Error(`${file ?? join(path, "Dockerfile")} cannot be read: name the Dockerfile with --file`, { cause });
  });
  const beside = await readFile(`${dockerfile}.dockerignore`, "utf8").catch(() => undefined);
  const ignore = beside ?? (await readFile(join(path, ".dockerignore"), "utf8").catch(() => ""));
  const kept = new Set([".dockerignore", ...(isInside ? [inside, `${inside}.dockerignore`] : [])]);
  return {
    tar: packFolder(resolve(path), parseIgnore(ignore), kept),
    ...(isInside ? { dockerfile: inside } : { dockerfileText: content }),
  };
}

async function checkFolder(path: string): Promise<void> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  if (!isFolder) throw new UsageError(`${path} is no folder: build takes the folder that COPY takes files from, or -`);
}

async function readStandardInput(file: string | undefined): Promise<Context> {
  const parts: Buffer[] = [];
  const input = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  while (head.length < 512) {
    const { done, value } = await input.next();
    if (done === true) break;
    parts.push(value);
    head = Buffer.concat([head, value]);
  }
  const rest = (async function* () {
    yield head;
    for (let next = await input.next(); next.done !== true; next = await input.next()) yield next.value;
  })();
  const isArchive =
    head.toString("latin1", 257, 262) === "ustar" ||
    compressed.some((magic) => head.toString("hex", 0, 6).startsWith(magic));
  if (isArchive) return { tar: rest, ...(file === undefined ? {} : { dockerfile: file }) };
  return { tar: emptyTar(), dockerfileText: await text(rest) };
}

async function* emptyTar(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1024);
}

function packFolder(root: string, ignore: Ignore, kept: ReadonlySet<string>): AsyncIterable<Uint8Array> {
  const tar = pack();
  addFolder(tar, { root, ignore, kept }, "")
    .then(() => tar.finalize())
    .catch((error: Error) => tar.destroy(error));
  return tar as unknown as Readable;
}

interface Packing {
  readonly root: string;
  readonly ignore: Ignore;
  readonly kept: ReadonlySet<string>;
}

async function addFolder(tar: Pack, packing: Packing, folder: string): Promise<void> {
  const { root, ignore, kept } = packing;
  for (const name of (await readdir(join(root, folder))).sort()) {
    const path = folder === "" ? name : `${folder}/${name}`;
    const ignored = ignore.ignores(path) && !kept.has(path);
    const info = await lstat(join(root, path));
    const header = { name: path, mode: info.mode & 0o7777, mtime: info.mtime, uid: info.uid, gid: info.gid };
    if (info.isDirectory()) {
      const leads = [...kept].some((each) => each.startsWith(`${path}/`));
      if (ignored && !leads && !ignore.mayHold(path)) continue;
      tar.entry({ ...header, type: "directory" });
      await addFolder(tar, packing, path);
    } else if (ignored) continue;
    else if (info.isSymbolicLink())
      tar.entry({ ...header, type: "symlink", linkname: await readlink(join(root, path)) });
    else if (info.isFile()) await addFile(tar, { ...header, size: info.size }, join(root, path));
  }
}

const wholeBytesMax = 1024 * 1024;

// Most files are small: a stream for each takes longer than all else.
async function addFile(
  tar: Pack,
  header: Pick<Header, "name" | "mode" | "mtime" | "uid" | "gid" | "size">,
  path: string,
): Promise<void> {
  if (header.size > wholeBytesMax) return await pipeline(createReadStream(path), tar.entry(header));
  const content = await readFile(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  tar.entry({ ...header, size: content.length }, content, (error) => (error ? reject(error) : resolve()));
  await promise;
}
