// Compressed forms of layers that were made here: packed from their directories, the same bytes each time, when something needs them.
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress, constants as zlib } from "node:zlib";
import { addBlobs } from "./changes.ts";
import type { Folder } from "./commit.ts";
import { okWords, startPacking } from "./helper.ts";
import { PullError } from "./images.ts";
import { noSpace } from "./layers.ts";
import { layerMediaType } from "./manifest.ts";
import type { LayerBlob } from "./records.ts";
import { Limit } from "./share.ts";

export type Compression = "gzip" | "zstd";

const gzipLevel = 4;
const zstdLevel = 3;
const chunkBytes = 256 * 1024;
/** Compressing takes a whole processor each. */
const limit = new Limit(2);

/** The layer's blob, made now when there is none; rejects with PullError. */
export async function ensureBlob(
  folder: Folder,
  diffId: string,
  options: { readonly compression: Compression; readonly signal?: AbortSignal | undefined },
): Promise<LayerBlob> {
  const known = await findBlob(folder, diffId);
  if (known !== undefined) return known;
  return await limit.run(async () => (await findBlob(folder, diffId)) ?? (await compress(folder, diffId, options)));
}

async function findBlob(folder: Folder, diffId: string): Promise<LayerBlob | undefined> {
  const known = folder.records.current.blobs?.[diffId];
  return known !== undefined && (await folder.content.has(known.digest, known.sizeBytes)) ? known : undefined;
}

async function compress(
  folder: Folder,
  diffId: string,
  { compression, signal }: { readonly compression: Compression; readonly signal?: AbortSignal | undefined },
): Promise<LayerBlob> {
  const { content, layers, records } = folder;
  using _held = content.hold();
  using _layer = layers.hold([diffId]);
  const path = content.temporaryPath();
  const packing = startPacking(["pack-layer", `dir:${layers.path(diffId)}`, "-1"]);
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const measured = async function* (parts: AsyncIterable<Uint8Array>) {
    for await (const part of parts) {
      hash.update(part);
      sizeBytes += part.length;
      yield part;
    }
  };
  try {
    const [, packed] = await Promise.all([
      pipeline(packing.tar, compressor(compression), measured, createWriteStream(path), {
        ...(signal === undefined ? {} : { signal }),
      }),
      packing.done,
    ]);
    checkPacked(packed, diffId);
    const digest = `sha256:${hash.digest("hex")}`;
    await content.take(path, digest);
    const blob = { mediaType: layerMediaType(compression), digest, sizeBytes, repositories: [] };
    // What an earlier form was, its file is gone: this one takes its place.
    await records.change((current) =>
      addBlobs({ ...current, blobs: without(current.blobs, diffId) }, { [diffId]: blob }),
    );
    return blob;
  } catch (error) {
    packing.kill();
    await packing.done.catch(() => {});
    await rm(path, { force: true });
    signal?.throwIfAborted();
    throw noSpace(error);
  }
}

/** Whether what was packed is the layer; its directory may have been changed by somebody, or hold a stranger's tar in other form. */
export function checkPacked(output: Buffer, diffId: string): void {
  const [hex] = okWords(output);
  if (`sha256:${hex}` === diffId) return;
  throw new PullError(
    "BadLayer",
    `layer ${diffId} was changed on the disk, and its compressed form is gone: remove its images and pull or build them again`,
  );
}

function compressor(compression: Compression) {
  return compression === "gzip"
    ? createGzip({ level: gzipLevel, chunkSize: chunkBytes })
    : createZstdCompress({ chunkSize: chunkBytes, params: { [zlib.ZSTD_c_compressionLevel]: zstdLevel } });
}

function without<Value>(values: Readonly<Record<string, Value>> = {}, key: string): Readonly<Record<string, Value>> {
  return Object.fromEntries(Object.entries(values).filter(([each]) => each !== key));
}
