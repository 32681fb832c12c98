// What a node knows of its images: one JSON file, replaced as a whole, so that it is always of one moment.
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { ImageConfig } from "./images.ts";

export interface ImageRecord {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Diff ids, lowest first. */
  readonly layers: readonly string[];
  /** Manifest, config, and what was read of its files: names in the content store. */
  readonly blobs: readonly string[];
  readonly config: ImageConfig;
  /** Digests of /etc/passwd and /etc/group, when it has them. */
  readonly passwd?: string;
  readonly group?: string;
  /** Digest of the manifest that it came or went with. */
  readonly manifest?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Wall time; rough after a restart. */
  readonly usedAtMs: number;
}

/** A compressed form of a layer that is in the content store. */
export interface LayerBlob {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Repositories that have it, "docker.io/library/nginx": where a push can mount it from. */
  readonly repositories: readonly string[];
}

/** A manifest that was pushed to this node: it stays, with all it names, until it is deleted, or its image is. */
export interface PushedManifest {
  /** "team/app" */
  readonly repository: string;
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  /** Wall time of the last push. */
  readonly pushedMs: number;
  /** Config and layers. */
  readonly blobs: readonly string[];
  /** Of an index. */
  readonly manifests: readonly string[];
  /** What this says something of, such as a signature of an image. */
  readonly subject?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** The image that this machine can run of it. */
  readonly imageId?: string;
}

/** What a build's step made, by the digest of all that went into it. */
export interface CacheEntry {
  /** Absent: it changed no file. */
  readonly diffId?: string;
  readonly createdMs: number;
  readonly usedAtMs: number;
}

export interface Records {
  readonly version: 1;
  readonly images: readonly ImageRecord[];
  /** Bytes of unpacked layers by diff id. */
  readonly layerBytes: Readonly<Record<string, number>>;
  /** By diff id. A layer that was made here has none until it leaves. */
  readonly blobs?: Readonly<Record<string, LayerBlob>>;
  readonly pushed?: readonly PushedManifest[];
  readonly buildCache?: Readonly<Record<string, CacheEntry>>;
  /** Images and layers that only the kernel's memory is sure to have: a crash of the machine takes them. */
  readonly unsynced?: readonly string[];
}

const noteMs = 100;

export class RecordFile {
  readonly #path: string;
  readonly #clock: Clock;
  #noted: Timer | undefined;
  #current: Records = { version: 1, images: [], layerBytes: {} };
  #queue: Promise<unknown> = Promise.resolve();

  constructor(directory: string, clock: Clock) {
    this.#path = join(directory, "images.json");
    this.#clock = clock;
  }

  get current(): Records {
    return this.#current;
  }

  async open(): Promise<void> {
    const text = await readFile(this.#path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (text === undefined) return;
    const broken = (cause?: unknown) =>
      new Error(`${this.#path} is damaged: stop all containers, remove its folder, and images will be pulled again`, {
        cause,
      });
    let parsed: Records;
    try {
      parsed = JSON.parse(text);
    } catch (cause) {
      throw broken(cause);
    }
    if (parsed.version !== 1 || !Array.isArray(parsed.images)) throw broken();
    this.#current = parsed;
  }

  /**
   * One change after another. The change is seen by everybody from its start, so that nothing begins to use what is about to
   * go, and is taken back when it cannot be written. Resolves when it is on the disk.
   */
  change(update: (records: Records) => Records): Promise<void> {
    const changed = this.#queue.then(async () => {
      const before = this.#current;
      const after = update(before);
      if (after === before && this.#noted === undefined) return;
      this.#noted?.cancel();
      this.#noted = undefined;
      this.#current = after;
      try {
        await writeDurably(this.#path, JSON.stringify(after));
      } catch (error) {
        this.#current = before;
        throw error;
      }
    });
    this.#queue = changed.catch(() => {});
    return changed;
  }

  /** A change that nobody waits for: seen at once, on the disk a little later, or with the next change. */
  note(update: (records: Records) => Records): void {
    this.#current = update(this.#current);
    this.#noted ??= this.#clock.after(noteMs, () => void this.change((records) => records).catch(() => {}));
  }

  /** A note that may be lost: goes to the disk with the next change. */
  touch(id: string, nowMs: number): void {
    this.#current = {
      ...this.#current,
      images: this.#current.images.map((image) => (image.id === id ? { ...image, usedAtMs: nowMs } : image)),
    };
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(join(path, ".."), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
