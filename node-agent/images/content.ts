// Small blobs (manifests, configs) by their digest: blobs/sha256/<hex>. Each is verified before it gets its name.
import { createHash } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

export class Content {
  readonly #blobs: string;
  readonly #temporary: string;
  #next = 0;
  #holds = 0;

  constructor(directory: string) {
    this.#blobs = join(directory, "blobs", "sha256");
    this.#temporary = join(directory, "tmp");
  }

  async open(): Promise<void> {
    await mkdir(this.#blobs, { recursive: true });
  }

  /**
   * Stores bytes and gives their digest; rejects, and leaves nothing, when `expected` is another. It is on the disk for good
   * once the file system was synced, which a pull does once for all it wrote.
   */
  async write(bytes: Uint8Array, expected?: string): Promise<string> {
    const digest = digestOf(bytes);
    if (expected !== undefined && expected !== digest) throw new Error(`content has digest ${digest}, not ${expected}`);
    const path = this.path(digest);
    if ((await stat(path).catch(() => undefined))?.size === bytes.length) return digest;
    const temporary = this.temporaryPath();
    try {
      await writeFile(temporary, bytes);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    return digest;
  }

  /** Undefined when it is not here; rejects when the disk holds something else. */
  async read(digest: string): Promise<Buffer | undefined> {
    const bytes = await readFile(this.path(digest)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (bytes !== undefined && digestOf(bytes) !== digest) {
      await rm(this.path(digest), { force: true });
      throw new Error(`blob ${digest} was damaged on the disk and is removed: pull its image again`);
    }
    return bytes;
  }

  /** Where the bytes of a blob are, or are to be. */
  path(digest: string): string {
    return join(this.#blobs, digest.slice("sha256:".length));
  }

  async has(digest: string, sizeBytes: number): Promise<boolean> {
    return (await stat(this.path(digest)).catch(() => undefined))?.size === sizeBytes;
  }

  /** Takes over a file whose digest somebody verified; it is gone from where it was. */
  async take(path: string, digest: string): Promise<void> {
    await rename(path, this.path(digest));
  }

  /** A name for a file that nobody else has. */
  temporaryPath(): string {
    return join(this.#temporary, `blob-${this.#next++}`);
  }

  /** While it lasts nothing is swept; for the time between writing a blob and the record that names it. */
  hold(): Disposable {
    this.#holds++;
    return { [Symbol.dispose]: () => void this.#holds-- };
  }

  /** Removes all that `keep` does not name, in one step; leaves it for the next time while something is being added. */
  sweep(keep: ReadonlySet<string>): void {
    if (this.#holds > 0) return;
    for (const name of readdirSync(this.#blobs)) {
      if (!keep.has(`sha256:${name}`)) rmSync(join(this.#blobs, name), { force: true });
    }
  }
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
