// What a node gives its peers: manifests and blobs of its images, also of those that it is only just pulling, so that what one node
// fetches from outside flows on to the others while it comes.
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Folder } from "./commit.ts";
import type { Image, PullOptions, RegistryCredentials } from "./images.ts";
import { type Descriptor, manifestMediaTypeOf } from "./manifest.ts";
import { outgoingImage } from "./outgoing.ts";
import { findPushed } from "./pushed.ts";
import { formatReference, type Reference, repositoryName } from "./reference.ts";

/** What a pull knows once it has read the manifest. */
export interface ResolvedPull {
  /** What the name means: an index or a manifest. */
  readonly digest: string;
  /** Index, manifest and config by digest. */
  readonly small: ReadonlyMap<string, Buffer>;
  readonly layers: readonly Descriptor[];
}

export interface GivenManifest {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
  /** When the image came to this node, wall time. */
  readonly sinceMs: number;
}

export interface GivenBlob {
  readonly sizeBytes: number;
  read(fromByte: number): AsyncIterable<Buffer>;
}

export interface ImageDoorOptions {
  readonly folder: Folder;
  readonly pull: (reference: string, options: PullOptions & { readonly direct: true }) => Promise<Image>;
}

const growPollMs = 10;
const partBytes = 256 * 1024;

export class ImageDoor {
  readonly #folder: Folder;
  readonly #pull: ImageDoorOptions["pull"];
  readonly #underWay = new Set<ResolvedPull>();

  constructor({ folder, pull }: ImageDoorOptions) {
    this.#folder = folder;
    this.#pull = pull;
  }

  /** From now until the returned object is disposed, peers may have what comes. */
  announce(pull: ResolvedPull): Disposable {
    this.#underWay.add(pull);
    return { [Symbol.dispose]: () => void this.#underWay.delete(pull) };
  }

  /** Of an image that is here; undefined for others. */
  async manifest(reference: Reference): Promise<GivenManifest | undefined> {
    const { records, content } = this.#folder;
    const pushed = findPushed(records.current, reference);
    const bytes = pushed && (await content.read(pushed.digest));
    if (pushed !== undefined && bytes !== undefined)
      return { bytes, digest: pushed.digest, mediaType: pushed.mediaType, sinceMs: pushed.pushedMs };
    const name = formatReference(reference);
    const record = records.current.images.find(({ tags, digests }) => tags.includes(name) || digests.includes(name));
    if (record === undefined) return await this.#small(reference.digest);
    const sinceMs = (await stat(content.path(record.id))).mtimeMs;
    // The index that it came with, so that its digest is the same everywhere.
    const prefix = `${repositoryName(reference)}@`;
    for (const known of record.digests.filter((digest) => digest.startsWith(prefix))) {
      const given = await this.#small(known.slice(prefix.length));
      if (given !== undefined) return { ...given, sinceMs };
    }
    using _held = content.hold();
    const { manifest } = await outgoingImage(this.#folder, record, { compression: "gzip" });
    await content.write(manifest.bytes);
    return { ...manifest, sinceMs };
  }

  /** The same, fetched from outside when need be; resolves as soon as the manifest is known. Rejects with PullError. */
  async fetchManifest(
    reference: Reference,
    credentials: readonly RegistryCredentials[],
  ): Promise<GivenManifest | undefined> {
    const name = formatReference(reference);
    let onResolved: (pull: ResolvedPull | undefined) => void = () => {};
    const resolved = new Promise<ResolvedPull | undefined>((resolve) => {
      onResolved = resolve;
    });
    const pulled = this.#pull(name, {
      credentials,
      direct: true,
      onProgress: (progress) => {
        if (progress.type !== "resolved") return;
        const found = [...this.#underWay].find(({ digest }) => digest === progress.digest);
        if (found !== undefined) onResolved(found);
      },
    }).then(() => undefined);
    // Whoever waits for a layer hears of what goes wrong later.
    pulled.catch(() => {});
    const underWay = await Promise.race([resolved, pulled]);
    const bytes = underWay?.small.get(underWay.digest);
    if (underWay === undefined || bytes === undefined) return await this.manifest(reference);
    return { bytes, digest: underWay.digest, mediaType: manifestMediaTypeOf(bytes), sinceMs: this.#folder.clock.now() };
  }

  /** Of an image that is here or on its way. */
  async blob(digest: string): Promise<GivenBlob | undefined> {
    const { content } = this.#folder;
    for (const { small, layers } of this.#underWay) {
      const bytes = small.get(digest);
      if (bytes !== undefined) return { sizeBytes: bytes.length, read: (from) => parts(bytes.subarray(from)) };
      const layer = layers.find((one) => one.digest === digest);
      if (layer !== undefined && !(await content.has(digest, layer.sizeBytes)))
        return { sizeBytes: layer.sizeBytes, read: (from) => this.#readGrowing(layer, from) };
    }
    const found = await stat(content.path(digest)).catch(() => undefined);
    if (found === undefined) return undefined;
    return {
      sizeBytes: found.size,
      read: (start) => createReadStream(content.path(digest), { start, highWaterMark: partBytes }),
    };
  }

  async #small(digest: string | undefined): Promise<GivenManifest | undefined> {
    if (digest === undefined) return undefined;
    for (const { small } of this.#underWay) {
      const bytes = small.get(digest);
      if (bytes !== undefined)
        return { bytes, digest, mediaType: manifestMediaTypeOf(bytes), sinceMs: this.#folder.clock.now() };
    }
    const bytes = await this.#folder.content.read(digest);
    return bytes && { bytes, digest, mediaType: manifestMediaTypeOf(bytes), sinceMs: this.#folder.clock.now() };
  }

  // The file of a download while it grows; it keeps its bytes when it becomes part of the content.
  async *#readGrowing({ digest, sizeBytes }: Descriptor, fromByte: number): AsyncGenerator<Buffer> {
    const { content, downloads, clock } = this.#folder;
    const isComing = () => [...this.#underWay].some(({ layers }) => layers.some((layer) => layer.digest === digest));
    for (let at = fromByte; at < sizeBytes; ) {
      const coming = isComing();
      const path = (await content.has(digest, sizeBytes)) ? content.path(digest) : downloads.path(digest);
      const before = at;
      for await (const part of readFrom(path, at)) {
        at += part.length;
        yield part;
      }
      if (at > before) continue;
      if (!coming) throw new Error(`the pull of ${digest} ended after ${at} of ${sizeBytes} bytes`);
      await new Promise<void>((resolve) => clock.after(growPollMs, resolve));
    }
  }
}

async function* readFrom(path: string, fromByte: number): AsyncGenerator<Buffer> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  try {
    for (let at = fromByte; file !== undefined; ) {
      const part = Buffer.allocUnsafe(partBytes);
      const { bytesRead } = await file.read(part, 0, part.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield part.subarray(0, bytesRead);
    }
  } finally {
    await file?.close();
  }
}

async function* parts(bytes: Buffer): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes;
}
