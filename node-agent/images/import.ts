// Archives of images: OCI layouts (image spec, "image-layout") and what `docker save` writes. The archive is unpacked aside by
// the confined helper; what its documents name is then taken from there like from a registry.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, lstat, mkdir, open, realpath } from "node:fs/promises";
import { join } from "node:path";
import { nameSuffix, type Random } from "../../lib/random.ts";
import { commitImage, type Folder } from "./commit.ts";
import { digestOf } from "./content.ts";
import type { Incoming } from "./downloads.ts";
import { type Image, PullError } from "./images.ts";
import { noSpace } from "./layers.ts";
import {
  choosePlatform,
  configBytesMax,
  hostPlatform,
  type IndexEntry,
  isObject,
  layerMediaType,
  manifestBytesMax,
  parseManifest,
} from "./manifest.ts";
import { checkConfig } from "./pull.ts";
import type { LayerBlob } from "./records.ts";
import { formatReference, parseReference, repositoryName } from "./reference.ts";
import type { Trash } from "./trash.ts";
import { recognize, unpackLayer } from "./unpack.ts";

/** One image of an archive, its documents read and its layers still files. */
export interface ArchivedImage {
  readonly names: readonly string[];
  readonly configBytes: Buffer;
  readonly manifest: { readonly digest: string; readonly bytes: Buffer } | undefined;
  /** Lowest first; the digest only where the archive promises one. */
  readonly layers: readonly { readonly path: string; readonly digest?: string }[];
}

const archiveLimits = { bytesMax: 64 * 1024 ** 3, entriesMax: 20_000 };
const imagesMax = 1_000;

/** Rejects with PullError when the archive is not what it should be. */
export async function importArchive(
  context: { readonly folder: Folder; readonly random: Random; readonly trash: Trash },
  archive: AsyncIterable<Uint8Array>,
  options: { readonly tag: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<readonly Image[]> {
  const { folder, random, trash } = context;
  const aside = join(folder.directory, "tmp", nameSuffix(random, 16));
  try {
    await mkdir(aside);
    await unpackLayer({ bytes: archive }, { directory: aside, limits: archiveLimits }, options.signal);
    const found = await readArchive(aside);
    if (options.tag !== undefined && found.length > 1) {
      throw new PullError("InvalidImageName", `archive holds ${found.length} images, so that one tag cannot name it`);
    }
    const images: Image[] = [];
    for (const image of found) images.push(await importImage(folder, image, options));
    return images;
  } catch (error) {
    throw noSpace(error);
  } finally {
    trash.take(aside);
  }
}

/** An image whose documents are read and whose layers are files: unpacked, and known when it returns. Rejects with PullError. */
export async function importImage(
  folder: Folder,
  image: ArchivedImage,
  options: { readonly tag: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<Image> {
  const { configBytes, manifest, layers } = image;
  const names = (options.tag === undefined ? image.names : [options.tag]).map(parseReference);
  const tags = names.filter((name) => name.digest === undefined).map(formatReference);
  const config = checkConfig(configBytes, { layers }, tags[0] ?? "image of the archive");
  using _held = folder.layers.hold(config.diffIds);
  using _blobs = folder.content.hold();
  await Promise.all(
    layers.map(async ({ path, digest }, i) => {
      const diffId = config.diffIds[i] ?? "";
      const layer = {
        diffId,
        ...(digest === undefined ? {} : { digest }),
        open: async () => fileOf(path),
      };
      await folder.layers.ensure(layer, { signal: options.signal });
    }),
  );
  const blobs = await keepLayers(folder, layers, config.diffIds);
  const digests =
    manifest === undefined ? [] : [...new Set(names.map((name) => `${repositoryName(name)}@${manifest.digest}`))];
  return await commitImage(folder, { configBytes, manifestBytes: manifest?.bytes, tags, digests, blobs });
}

function fileOf(path: string): Incoming {
  const bytes = createReadStream(path, { highWaterMark: 262_144 });
  return { bytes, keeping: undefined, [Symbol.asyncDispose]: async () => void bytes.destroy() };
}

// Archives bring layers that only their own bytes can be made of again: they stay for pushes and saves.
async function keepLayers(
  folder: Folder,
  layers: ArchivedImage["layers"],
  diffIds: readonly string[],
): Promise<Readonly<Record<string, LayerBlob>>> {
  const blobs: Record<string, LayerBlob> = {};
  for (const [i, layer] of layers.entries()) {
    const diffId = diffIds[i] ?? "";
    if (folder.records.current.blobs?.[diffId] !== undefined) continue;
    const blob = await keepLayer(folder, layer, diffId);
    if (blob !== undefined) blobs[diffId] = blob;
  }
  return blobs;
}

// Undefined for forms that no registry knows: the layer is packed anew when it is needed.
async function keepLayer(
  folder: Folder,
  layer: ArchivedImage["layers"][number],
  diffId: string,
): Promise<LayerBlob | undefined> {
  await using file = await open(layer.path, "r");
  const { size: sizeBytes } = await file.stat();
  const start = Buffer.alloc(6);
  await file.read(start, 0, start.length, 0);
  const compression = recognize(start);
  if (compression === "xz" || compression === "bzip2") return undefined;
  const digest = layer.digest ?? (compression === "none" ? diffId : await digestOfFile(layer.path));
  if (!(await folder.content.has(digest, sizeBytes))) {
    const temporary = folder.content.temporaryPath();
    // Two images of one archive may have the same file.
    await link(layer.path, temporary);
    await folder.content.take(temporary, digest);
  }
  return { mediaType: layerMediaType(compression), digest, sizeBytes, repositories: [] };
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(part);
  return `sha256:${hash.digest("hex")}`;
}

async function readArchive(root: string): Promise<readonly ArchivedImage[]> {
  const index = await readInside(root, "index.json", manifestBytesMax);
  const saved = await readInside(root, "manifest.json", manifestBytesMax);
  const images = [
    ...(index === undefined ? [] : await readIndex(root, index)),
    ...(saved === undefined ? [] : await readSaved(root, saved)),
  ];
  if (index === undefined && saved === undefined) {
    throw bad("holds no image: it has neither index.json (OCI layout) nor manifest.json (docker save)");
  }
  // Docker writes both documents for the same images.
  const byConfig = new Map<string, ArchivedImage>();
  for (const image of images) {
    const id = digestOf(image.configBytes);
    const known = byConfig.get(id);
    byConfig.set(id, known === undefined ? image : { ...known, names: [...new Set([...known.names, ...image.names])] });
  }
  return [...byConfig.values()];
}

async function readIndex(root: string, bytes: Buffer): Promise<readonly ArchivedImage[]> {
  const index = parseManifest(bytes, "index.json of the archive");
  if (index.type !== "index") throw bad("has an index.json that is no index");
  if (index.entries.length > imagesMax) throw bad(`holds more than ${imagesMax} images`);
  return await Promise.all(index.entries.map((entry) => readEntry(root, entry)));
}

async function readEntry(root: string, entry: IndexEntry): Promise<ArchivedImage> {
  const name = entry.annotations["io.containerd.image.name"] ?? entry.annotations["org.opencontainers.image.ref.name"];
  let { digest } = entry;
  for (let depth = 0; depth < 4; depth++) {
    const bytes = await readBlob(root, digest, manifestBytesMax);
    const manifest = parseManifest(bytes, `manifest ${digest} of the archive`);
    if (manifest.type === "index") {
      digest = choosePlatform(manifest.entries, hostPlatform(), name ?? "image of the archive").digest;
      continue;
    }
    return {
      // A mere tag, as the OCI layout has it, names nothing without a repository.
      names: name !== undefined && /[/:]/.test(name) ? [name] : [],
      configBytes: await readBlob(root, manifest.config.digest, configBytesMax),
      manifest: { digest, bytes },
      layers: await Promise.all(
        manifest.layers.map(async (layer) => ({ path: await findBlob(root, layer.digest), digest: layer.digest })),
      ),
    };
  }
  throw bad("has an index within an index, too deep");
}

async function readSaved(root: string, bytes: Buffer): Promise<readonly ArchivedImage[]> {
  let saved: unknown;
  try {
    saved = JSON.parse(bytes.toString());
  } catch (cause) {
    throw new PullError("BadLayer", "archive has a manifest.json that is no JSON", { cause });
  }
  if (!Array.isArray(saved) || saved.length > imagesMax) throw bad("has a manifest.json that is no list of images");
  return await Promise.all(
    saved.map(async (image: unknown) => {
      const { Config: config, RepoTags: tags, Layers: layers } = isObject(image) ? image : {};
      if (typeof config !== "string" || !isStrings(layers)) throw bad("has a manifest.json without Config and Layers");
      const configBytes = await readInside(root, config, configBytesMax);
      if (configBytes === undefined) throw bad(`lacks ${config}`);
      return {
        names: isStrings(tags) ? tags : [],
        configBytes,
        manifest: undefined,
        layers: await Promise.all(layers.map(async (path) => ({ path: await findInside(root, path) }))),
      };
    }),
  );
}

async function readBlob(root: string, digest: string, bytesMax: number): Promise<Buffer> {
  const bytes = await readInside(root, blobPath(digest), bytesMax);
  if (bytes === undefined) throw bad(`lacks blob ${digest}`);
  if (digestOf(bytes) !== digest)
    throw new PullError("WrongDigest", `archive has other content than blob ${digest} should have`);
  return bytes;
}

async function findBlob(root: string, digest: string): Promise<string> {
  return await findInside(root, blobPath(digest));
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}

async function readInside(root: string, path: string, bytesMax: number): Promise<Buffer | undefined> {
  const found = await findInside(root, path).catch(() => undefined);
  if (found === undefined) return undefined;
  await using file = await open(found, "r");
  const { size } = await file.stat();
  if (size > bytesMax) throw bad(`has ${path} of more than ${bytesMax} bytes`);
  return await file.readFile();
}

// Old archives link equal layers to each other; a link that leads out of the archive is refused. Nobody else writes there, so
// that what was looked at stays what it is.
async function findInside(root: string, path: string): Promise<string> {
  const found = await realpath(join(root, path)).catch(() => undefined);
  if (found === undefined) throw bad(`lacks ${path}`);
  if (!found.startsWith(`${await realpath(root)}/`)) throw bad(`has ${path} that leads outside of it`);
  if (!(await lstat(found)).isFile()) throw bad(`has ${path} that is no file`);
  return found;
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function bad(why: string): PullError {
  return new PullError("BadLayer", `archive ${why}`);
}
