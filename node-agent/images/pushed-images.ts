// This node as a registry: what clients push to it becomes an image here when this machine can run it, and is kept in any case.
import { stat } from "node:fs/promises";
import { type Clock, sleep } from "../../lib/clock.ts";
import { type Folder, nameImage } from "./commit.ts";
import { digestOf } from "./content.ts";
import { PullError } from "./images.ts";
import { importImage } from "./import.ts";
import { choosePlatform, configBytesMax, hostPlatform, imageConfigTypes, parseManifest } from "./manifest.ts";
import type { WritableLayers } from "./overlay.ts";
import {
  addPushed,
  findPushed,
  isShown,
  type ManifestParts,
  manifestParts,
  removePushed,
  shownTags,
} from "./pushed.ts";
import type { PushedManifest, Records } from "./records.ts";
import { clusterRegistry, formatReference, type Reference } from "./reference.ts";
import { planRemoval } from "./removal.ts";
import { isSigned, readKeys, signatureTag } from "./signatures.ts";
import type { Uploads } from "./uploads.ts";

export interface PushedImagesOptions {
  readonly folder: Folder;
  readonly uploads: Uploads;
  readonly writable: WritableLayers;
  readonly sweep: () => void;
  /** Files of the keys that one of must have signed what is to become an image here; none: nobody asks. */
  readonly signatureKeys: readonly string[];
}

export interface NewManifest {
  /** Of the cluster's registry, by tag or digest. */
  readonly reference: Reference;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** A manifest that names what was not pushed. */
export class MissingPartError extends Error {
  override readonly name = "MissingPartError";
}

/** From a blob's upload to the manifest that names it. */
const waitMsMax = 2 * 3600_000;

export class PushedImages {
  readonly uploads: Uploads;
  readonly #folder: Folder;
  readonly #options: PushedImagesOptions;
  /** Blobs that no manifest names yet, and until when they stay. */
  readonly #waiting = new Map<string, number>();
  #ending: Promise<void> | undefined;
  readonly #ended = new AbortController();

  constructor(options: PushedImagesOptions) {
    this.#options = options;
    this.#folder = options.folder;
    this.uploads = options.uploads;
  }

  /** Digests that must stay though nothing names them. */
  waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Size of a blob that the registry may show; undefined for others. */
  async blobBytes(digest: string): Promise<number | undefined> {
    const { content, records } = this.#folder;
    if (!this.#waiting.has(digest) && !isShown(records.current, digest)) return undefined;
    return (await stat(content.path(digest)).catch(() => undefined))?.size;
  }

  /** A verified file becomes a blob; it waits for its manifest. */
  async takeBlob(path: string, digest: string): Promise<void> {
    this.#wait(digest);
    await this.#folder.content.take(path, digest);
  }

  /** Rejects with PullError (what it is not), MissingPartError. Once it resolves, nothing takes it but who deletes it. */
  async put({ reference, contentType, bytes }: NewManifest): Promise<PushedManifest> {
    const { content, records, clock, disk } = this.#folder;
    const parts = manifestParts(bytes, contentType);
    const digest = digestOf(bytes);
    if (reference.digest !== undefined && reference.digest !== digest)
      throw new PullError("WrongDigest", `the manifest that came has digest ${digest}, not ${reference.digest}`);
    using _held = content.hold();
    await this.#checkParts(parts, reference.repository);
    await content.write(bytes, digest);
    const signed = await this.#isSigned(reference.repository, digest);
    const imageId = signed ? await this.#makeImage(reference, { parts, bytes, digest }) : undefined;
    const { mediaType, config, layers, manifests, subject, artifactType, annotations } = parts;
    const pushed: PushedManifest = {
      ...{ repository: reference.repository, digest, mediaType, sizeBytes: bytes.length, pushedMs: clock.now() },
      tags: reference.tag === undefined ? [] : [reference.tag],
      blobs: [...(config === undefined ? [] : [config.digest]), ...layers.map((layer) => layer.digest)],
      manifests: manifests.map((manifest) => manifest.digest),
      ...(subject === undefined ? {} : { subject }),
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(imageId === undefined ? {} : { imageId }),
    };
    await records.change((current) => addPushed(current, pushed));
    for (const blob of pushed.blobs) this.#waiting.delete(blob);
    await this.#admit(pushed);
    await disk.settle();
    return pushed;
  }

  /** Whether this was pushed and waits for a signature. */
  isUnsigned(reference: Reference): boolean {
    const { registry, repository, tag, digest } = reference;
    if (registry !== clusterRegistry || this.#options.signatureKeys.length === 0) return false;
    const { pushed = [] } = this.#folder.records.current;
    return pushed.some(
      (each) =>
        each.repository === repository &&
        each.imageId === undefined &&
        (each.digest === digest || (tag !== undefined && each.tags.includes(tag))),
    );
  }

  find(reference: Reference): PushedManifest | undefined {
    return findPushed(this.#folder.records.current, reference);
  }

  /** False when there is none. Containers keep their image's layers. */
  async remove(reference: Reference): Promise<boolean> {
    const { records } = this.#folder;
    const { writable } = this.#options;
    const { repository, tag = "", digest } = reference;
    let found = false;
    await records.change((current) => {
      const names = namesOf(current, reference);
      found = names.length > 0 || findPushed(current, reference) !== undefined;
      const name = digest === undefined ? { tag } : { digest };
      return names.reduce(
        (left, each) =>
          namesOf(left, reference).includes(each)
            ? planRemoval(left, each, { force: true, usersOf: (id) => writable.usersOf(id) }).records
            : left,
        removePushed(current, repository, name),
      );
    });
    this.#options.sweep();
    return found;
  }

  tags(): ReadonlyMap<string, ReadonlySet<string>> {
    return shownTags(this.#folder.records.current);
  }

  /** What was said of a manifest, such as signatures of it. */
  referrers(repository: string, subject: string): readonly PushedManifest[] {
    const { pushed = [] } = this.#folder.records.current;
    return pushed.filter((each) => each.repository === repository && each.subject === subject);
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.uploads[Symbol.dispose]();
  }

  async #checkParts({ config, layers, manifests }: ManifestParts, repository: string): Promise<void> {
    for (const { digest, sizeBytes } of config === undefined ? layers : [config, ...layers]) {
      const bytes = await this.blobBytes(digest);
      if (bytes === undefined) throw new MissingPartError(`blob ${digest} was not pushed`);
      if (bytes !== sizeBytes)
        throw new PullError("BadLayer", `the manifest says ${digest} has ${sizeBytes} bytes, it has ${bytes}`);
    }
    for (const { digest } of manifests) {
      const reference = { registry: clusterRegistry, repository, tag: undefined, digest };
      if (this.find(reference) === undefined)
        throw new MissingPartError(`manifest ${digest} was not pushed to ${repository}`);
    }
  }

  async #isSigned(repository: string, digest: string): Promise<boolean> {
    const { signatureKeys } = this.#options;
    if (signatureKeys.length === 0) return true;
    const { content, records } = this.#folder;
    const tag = signatureTag(digest);
    const signature = records.current.pushed?.find((each) => each.repository === repository && each.tags.includes(tag));
    const manifest = signature && (await content.read(signature.digest));
    if (manifest === undefined) return false;
    const keys = await readKeys(signatureKeys);
    return await isSigned(manifest, { digest, keys }, (layer) => content.read(layer.digest));
  }

  // A signature makes what was pushed before an image, under all its names.
  async #admit({ repository, tags }: PushedManifest): Promise<void> {
    const { content, records } = this.#folder;
    const { pushed = [] } = records.current;
    const found = pushed.find(
      (each) =>
        each.repository === repository && each.imageId === undefined && tags.includes(signatureTag(each.digest)),
    );
    const bytes = found && (await content.read(found.digest));
    if (found === undefined || bytes === undefined || !(await this.#isSigned(repository, found.digest))) return;
    const { digest, mediaType } = found;
    const parts = manifestParts(bytes, mediaType);
    const names =
      found.tags.length === 0 ? [{ tag: undefined, digest }] : found.tags.map((tag) => ({ tag, digest: undefined }));
    let imageId: string | undefined;
    for (const name of names) {
      const reference = { registry: clusterRegistry, repository, ...name };
      imageId = await this.#makeImage(reference, { parts, bytes, digest });
    }
    if (imageId === undefined) return;
    await records.change((current) => addPushed(current, { ...found, imageId }));
  }

  // Images for other machines, and what is no image, is only kept.
  async #makeImage(
    reference: Reference,
    { parts, bytes, digest }: { readonly parts: ManifestParts; readonly bytes: Buffer; readonly digest: string },
  ): Promise<string | undefined> {
    if (parts.config === undefined) return await this.#nameEntry(reference, { bytes, digest });
    if (!imageConfigTypes.includes(parts.config.mediaType)) return undefined;
    if (parts.config.sizeBytes > configBytesMax)
      throw new PullError("BadLayer", `the config is larger than ${configBytesMax} bytes`);
    const { content } = this.#folder;
    const configBytes = await content.read(parts.config.digest);
    if (configBytes === undefined) throw new MissingPartError(`blob ${parts.config.digest} was not pushed`);
    const manifest = parseManifest(bytes, "the manifest");
    if (manifest.type !== "image") return undefined;
    const layers = manifest.layers.map((layer) => ({ path: content.path(layer.digest), digest: layer.digest }));
    const image = { names: [formatReference(reference)], configBytes, manifest: { digest, bytes }, layers };
    try {
      return (await importImage(this.#folder, image, { tag: undefined, signal: undefined })).id;
    } catch (error) {
      if (error instanceof PullError && error.failure === "NoMatchingPlatform") return undefined;
      throw error;
    }
  }

  // An index means the image that is made for this machine.
  async #nameEntry(
    reference: Reference,
    { bytes, digest }: { readonly bytes: Buffer; readonly digest: string },
  ): Promise<string | undefined> {
    const index = parseManifest(bytes, "the index");
    if (index.type !== "index") return undefined;
    const own = ownEntry(index.entries);
    const found = own && this.find({ ...reference, tag: undefined, digest: own.digest });
    const imageId = found?.imageId ?? (found && (await this.#makeEntry(reference, found)));
    if (imageId === undefined) return undefined;
    const tags = reference.tag === undefined ? [] : [formatReference(reference)];
    const digests = [formatReference({ ...reference, tag: undefined, digest })];
    await nameImage(this.#folder, imageId, { tags, digests });
    return imageId;
  }

  // Who signs an index signs what it names.
  async #makeEntry(reference: Reference, found: PushedManifest): Promise<string | undefined> {
    const { content, records } = this.#folder;
    const { digest, mediaType } = found;
    const bytes = await content.read(digest);
    if (bytes === undefined || this.#options.signatureKeys.length === 0) return undefined;
    const parts = manifestParts(bytes, mediaType);
    const imageId = await this.#makeImage({ ...reference, tag: undefined, digest }, { parts, bytes, digest });
    if (imageId !== undefined) await records.change((current) => addPushed(current, { ...found, imageId }));
    return imageId;
  }

  #wait(digest: string): void {
    const { clock } = this.#folder;
    this.#waiting.set(digest, clock.monotonicMs() + waitMsMax);
    this.#ending ??= this.#end(clock).finally(() => {
      this.#ending = undefined;
    });
    this.#ending.catch(() => {});
  }

  async #end(clock: Clock): Promise<void> {
    while (this.#waiting.size > 0) {
      await sleep(clock, waitMsMax / 10, this.#ended.signal);
      const nowMs = clock.monotonicMs();
      for (const [digest, untilMs] of this.#waiting) if (untilMs < nowMs) this.#waiting.delete(digest);
      this.#options.sweep();
    }
  }
}

function ownEntry(entries: Parameters<typeof choosePlatform>[0]) {
  try {
    return choosePlatform(entries, hostPlatform(), "the index");
  } catch {
    return undefined;
  }
}

function namesOf(records: Records, reference: Reference): readonly string[] {
  const name = formatReference(reference);
  const holder = records.images.find(({ tags, digests }) => tags.includes(name) || digests.includes(name));
  if (holder === undefined) return [];
  if (reference.digest === undefined) return [name];
  const prefix = `${clusterRegistry}/${reference.repository}`;
  const pushed = findPushed(records, reference);
  return [...(pushed?.tags ?? []).map((tag) => `${prefix}:${tag}`), name].filter(
    (each) => holder.tags.includes(each) || holder.digests.includes(each),
  );
}
