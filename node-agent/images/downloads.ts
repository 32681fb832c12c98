// Blobs on their way: what has come is kept in partial/<hex>, so that a pull which broke, or was killed, goes on from there.
import { rmSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Content } from "./content.ts";
import type { Descriptor } from "./manifest.ts";
import type { Keeping } from "./unpack.ts";

/** Gives a blob's bytes from a place on. */
export type FetchFrom = (fromByte: number) => AsyncIterable<Buffer>;

/** Its file is closed when it is disposed. */
export interface Incoming extends AsyncDisposable {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Undefined where the bytes cannot be kept. */
  readonly keeping: Keeping | undefined;
}

const ageMsMax = 7 * 24 * 3600 * 1000;
const readBytes = 1024 * 1024;

export class Downloads {
  readonly #directory: string;
  readonly #content: Content;
  readonly #clock: Clock;
  readonly #busy = new Set<string>();

  constructor(options: { readonly directory: string; readonly content: Content; readonly clock: Clock }) {
    this.#directory = join(options.directory, "partial");
    this.#content = options.content;
    this.#clock = options.clock;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const seen = await stat(path).catch(() => undefined);
      if (seen !== undefined && this.#clock.now() - seen.mtimeMs > ageMsMax) await rm(path, { force: true });
    }
  }

  /**
   * The bytes of a blob, what is here first; who reads them adds the rest to the file. Who has verified the digest says `keep` or `drop`
   * then; without either the part that came stays for the next time.
   */
  async receive({ digest, sizeBytes }: Descriptor, fetch: FetchFrom): Promise<Incoming> {
    if (this.#busy.has(digest)) return { bytes: fetch(0), keeping: undefined, [Symbol.asyncDispose]: async () => {} };
    this.#busy.add(digest);
    const stack = new AsyncDisposableStack();
    stack.defer(() => void this.#busy.delete(digest));
    try {
      const file = await open(this.path(digest), "a+");
      stack.defer(() => file.close());
      let keptBytes = (await file.stat()).size;
      if (keptBytes > sizeBytes) {
        await file.truncate(0);
        keptBytes = 0;
      }
      const isWhole = keptBytes === sizeBytes && sizeBytes > 0;
      const bytes = (async function* () {
        yield* readParts(file, keptBytes);
        if (!isWhole) yield* fetch(keptBytes);
      })();
      return { bytes, keeping: { file, keptBytes }, [Symbol.asyncDispose]: () => stack.disposeAsync() };
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  /** Makes a whole, verified blob part of the content; false when it did not come this way. */
  async keep({ digest, sizeBytes }: Descriptor): Promise<boolean> {
    if (await this.#content.has(digest, sizeBytes)) return true;
    const seen = await stat(this.path(digest)).catch(() => undefined);
    if (seen?.size !== sizeBytes) return false;
    await this.#content.take(this.path(digest), digest);
    return true;
  }

  /** Gives up all parts that nobody is fetching: their room is needed. */
  async clear(): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (!this.#busy.has(`sha256:${name}`)) await rm(join(this.#directory, name), { force: true });
    }
  }

  drop(digest: string): void {
    rmSync(this.path(digest), { force: true });
  }

  /** Where a blob's bytes gather. */
  path(digest: string): string {
    return join(this.#directory, digest.slice("sha256:".length));
  }
}

async function* readParts(file: FileHandle, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; ) {
    const part = Buffer.allocUnsafe(Math.min(readBytes, bytes - at));
    const { bytesRead } = await file.read(part, 0, part.length, at);
    if (bytesRead === 0) throw new Error("file became shorter while it was read");
    at += bytesRead;
    yield part.subarray(0, bytesRead);
  }
}
