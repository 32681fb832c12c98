// Images as a tar: an OCI layout (image spec, "image-layout"), and Docker's manifest.json beside it, so that every tool can load it.
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Pack } from "tar-stream";
import { findImage } from "./changes.ts";
import type { Folder } from "./commit.ts";
import { NoSuchImageError, type SaveOptions } from "./library.ts";
import { hostPlatform, imageIndexType } from "./manifest.ts";
import { type OutgoingImage, outgoingImage } from "./outgoing.ts";
import type { ImageRecord, Records } from "./records.ts";
import { parseReference, repositoryName } from "./reference.ts";

/** One image and the names that go with it: none for one that was named by its id. */
export interface SavedImage {
  readonly record: ImageRecord;
  readonly names: readonly string[];
}

/** Which image a reference means, with which names. Throws NoSuchImageError. */
export function planSave(records: Records, text: string): SavedImage {
  const found = findImage(records, text) ?? findAnyTag(records, text);
  if (found === undefined) throw new NoSuchImageError(text);
  const { image, name } = found;
  if (!image.tags.includes(name)) return { record: image, names: [] };
  const repository = repositoryName(parseReference(name));
  const isWhole = !text.slice(text.lastIndexOf("/") + 1).includes(":");
  const ofRepository = image.tags.filter((tag) => repositoryName(parseReference(tag)) === repository);
  return { record: image, names: isWhole ? ofRepository : [name] };
}

/** Each image once, with all names that were asked for. */
export function mergeSaved(saved: readonly SavedImage[]): readonly SavedImage[] {
  const merged = new Map<string, SavedImage>();
  for (const { record, names } of saved) {
    const known = merged.get(record.id);
    merged.set(record.id, { record, names: [...new Set([...(known?.names ?? []), ...names])] });
  }
  return [...merged.values()];
}

// A repository whose images have other tags than "latest".
function findAnyTag(records: Records, text: string) {
  const repository = repositoryName(parseReference(text));
  for (const image of records.images) {
    const name = image.tags.find((tag) => repositoryName(parseReference(tag)) === repository);
    if (name !== undefined) return { image, name };
  }
  return undefined;
}

/** Rejects with PullError before the first byte. The stream holds what it needs until it ends. */
export async function saveImages(
  folder: Folder,
  saved: readonly SavedImage[],
  { format = "docker", signal }: SaveOptions,
): Promise<Readable> {
  const held = folder.content.hold();
  try {
    const images: { readonly outgoing: OutgoingImage; readonly names: readonly string[] }[] = [];
    for (const { record, names } of saved) {
      images.push({ outgoing: await outgoingImage(folder, record, { compression: "gzip", signal }), names });
    }
    // Few nodes ever save one: the module is brought with the first.
    const { pack } = await import("tar-stream");
    const tar = pack();
    write(folder, tar, { images, format })
      .then(() => tar.finalize())
      .catch((error) => tar.destroy(error))
      .finally(() => held[Symbol.dispose]());
    const output = Readable.from(tar, { objectMode: false });
    const onAbort = () => output.destroy(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    output.once("close", () => {
      signal?.removeEventListener("abort", onAbort);
      tar.destroy();
    });
    return output;
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

async function write(
  folder: Folder,
  tar: Pack,
  {
    images,
    format,
  }: {
    readonly images: readonly { readonly outgoing: OutgoingImage; readonly names: readonly string[] }[];
    readonly format: "docker" | "oci";
  },
): Promise<void> {
  const done = new Set<string>();
  await addDirectory(tar, "blobs/");
  await addDirectory(tar, "blobs/sha256/");
  for (const { outgoing } of images) {
    for (const { digest, sizeBytes } of outgoing.layers) {
      if (done.has(digest)) continue;
      done.add(digest);
      const entry = tar.entry({ ...header(blobPath(digest)), size: sizeBytes });
      await pipeline(createReadStream(folder.content.path(digest), { highWaterMark: 262_144 }), entry);
    }
    for (const { digest, bytes } of [outgoing.config, outgoing.manifest]) {
      if (!done.has(digest)) await addFile(tar, blobPath(digest), bytes);
      done.add(digest);
    }
  }
  await addFile(tar, "index.json", json(indexOf(images)));
  if (format === "docker") await addFile(tar, "manifest.json", json(images.map(savedLine)));
  await addFile(tar, "oci-layout", json({ imageLayoutVersion: "1.0.0" }));
}

function indexOf(images: readonly { readonly outgoing: OutgoingImage; readonly names: readonly string[] }[]): object {
  const manifests = images.flatMap(({ outgoing: { manifest }, names }) => {
    const described = {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.length,
      platform: hostPlatform(),
    };
    if (names.length === 0) return [described];
    return names.map((name) => ({
      ...described,
      annotations: {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": parseReference(name).tag ?? "",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: imageIndexType, manifests };
}

// A line of Docker's manifest.json.
function savedLine({
  outgoing,
  names,
}: {
  readonly outgoing: OutgoingImage;
  readonly names: readonly string[];
}): object {
  return {
    Config: blobPath(outgoing.config.digest),
    RepoTags: names.map(familiar),
    Layers: outgoing.layers.map(({ digest }) => blobPath(digest)),
  };
}

/** As Docker shows it: "docker.io/library/web:1" is "web:1". */
export function familiar(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, "");
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}

function header(name: string) {
  return { name, mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 };
}

function addFile(tar: Pack, name: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry(header(name), bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function addDirectory(tar: Pack, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry({ ...header(name), mode: 0o755, type: "directory" }, (error) => (error ? reject(error) : resolve()));
  });
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
