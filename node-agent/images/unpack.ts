// One layer from its compressed bytes to files. The helper hashes, keeps, decompresses, hashes and unpacks in one go; only zstd, which
// Node knows, is decompressed before. A layer that is not what its digests say is reported as such, and the caller throws away what
// was written.
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { HelperError, okWords, startHelper } from "./helper.ts";
import { PullError } from "./images.ts";
import { decompressZstd } from "./zstd.ts";

export interface LayerLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

/** A file that is to have all the bytes as they came, and how many of them it has already. It is open for appending. */
export interface Keeping {
  readonly file: FileHandle;
  readonly keptBytes: number;
}

export interface LayerSource {
  /** Of the uncompressed bytes; absent for an archive of images, which has none. */
  readonly diffId?: string;
  /** Of the compressed bytes; absent when only the diff id is known. */
  readonly digest?: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly keeping?: Keeping | undefined;
}

export const layerLimits: LayerLimits = { bytesMax: 64 * 1024 ** 3, entriesMax: 2_000_000 };

/** Unpacks into an existing, empty directory and gives the size of its files. Rejects with PullError. */
export async function unpackLayer(
  source: LayerSource,
  options: { readonly directory: string; readonly limits: LayerLimits },
  signal?: AbortSignal,
): Promise<number> {
  const { directory, limits } = options;
  const input = new Input(source);
  const isZstd = recognize(await input.peek()) === "zstd";
  const keeping = isZstd ? undefined : source.keeping;
  const kept = keeping === undefined ? "-" : String(keeping.keptBytes);
  const args = ["unpack", directory, String(limits.bytesMax), String(limits.entriesMax), kept];
  const { output, error } = await feed(startHelper(args, keeping?.file.fd), { input, isZstd }, signal);
  // Whatever went wrong with its content: first of all it may not be the content that was promised.
  const words = output === undefined ? [] : okWords(output);
  const name = nameOf(source);
  if (error instanceof HelperError && error.kind === "nospace") throw explain(name, error);
  const digest = isZstd ? await input.digest() : (words[3] ?? (error instanceof HelperError ? error.input : undefined));
  if (source.digest !== undefined && digest !== undefined && source.digest !== `sha256:${digest}`) {
    throw new PullError(
      "WrongDigest",
      `layer ${source.digest} has digest sha256:${digest}: the registry or the way to it is broken`,
    );
  }
  if (error !== undefined) throw explain(name, error);
  const diffId = `sha256:${words[2]}`;
  if (source.diffId !== undefined && diffId !== source.diffId) {
    throw new PullError("WrongDigest", `${name} unpacks to ${diffId}, but its image's config says ${source.diffId}`);
  }
  return Number(words[1]);
}

/** Unpacks an archive below a path of a root of naru-unpack, where whiteouts are files like others. Rejects with PullError. */
export async function unpackPlain(
  bytes: AsyncIterable<Uint8Array>,
  { root, path }: { readonly root: string; readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  const source = { bytes };
  const input = new Input(source);
  const isZstd = recognize(await input.peek()) === "zstd";
  const { error } = await feed(startHelper(["write", root, path, "0", ""]), { input, isZstd }, signal);
  if (error !== undefined) throw explain(nameOf(source), error);
}

/** Rejects with what the source of the bytes fails with. */
async function feed(
  { child, done }: ReturnType<typeof startHelper>,
  { input, isZstd }: { readonly input: Input; readonly isZstd: boolean },
  signal: AbortSignal | undefined,
): Promise<{ readonly output: Buffer | undefined; readonly error: unknown }> {
  // Its words say more than the broken pipe that its end makes; settled before the pipeline's failure is looked at.
  const outcome = done.then(
    (output) => ({ output, error: undefined }),
    (error: unknown) => ({ output: undefined, error }),
  );
  const { stdin } = child;
  if (stdin === null) throw new Error("bug: helper without stdin");
  let failure: unknown;
  try {
    const bytes = isZstd ? decompressZstd(input.hashed()) : input.read();
    await pipeline(bytes, stdin, signal === undefined ? {} : { signal });
  } catch (error) {
    failure = error;
    stdin.on("error", () => {});
    stdin.destroy();
  }
  try {
    const { output, error } = await outcome;
    if (input.failure !== undefined) throw input.failure;
    signal?.throwIfAborted();
    // EPIPE only says that the helper ended; other failures of the pipeline are causes of its end.
    return { output, error: error !== undefined && (failure === undefined || isBrokenPipe(failure)) ? error : failure };
  } finally {
    await input.close();
  }
}

// Looks ahead, and hashes and keeps what the helper cannot.
class Input {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #keeping: Keeping | undefined;
  readonly #hash = createHash("sha256");
  #ahead: Uint8Array | undefined;
  #seenBytes = 0;
  /** What the source failed with. */
  failure: unknown;

  constructor({ bytes, keeping }: LayerSource) {
    this.#iterator = bytes[Symbol.asyncIterator]();
    this.#keeping = keeping;
  }

  async peek(): Promise<Uint8Array> {
    let ahead: Uint8Array = new Uint8Array(0);
    while (ahead.length < 6) {
      const part = await this.#next();
      if (part === undefined) break;
      ahead = ahead.length === 0 ? part : Buffer.concat([ahead, part]);
    }
    this.#ahead = ahead;
    return ahead;
  }

  async *read(): AsyncGenerator<Uint8Array> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined && ahead.length > 0) yield ahead;
    for (let part = await this.#next(); part !== undefined; part = await this.#next()) yield part;
  }

  async *hashed(): AsyncGenerator<Uint8Array> {
    for await (const part of this.read()) {
      this.#hash.update(part);
      await this.#keep(part);
      yield part;
    }
  }

  /** Of everything that was hashed, and of what nobody read. */
  async digest(): Promise<string> {
    for await (const _ of this.hashed());
    return this.#hash.digest("hex");
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #keep(part: Uint8Array): Promise<void> {
    const { file, keptBytes = 0 } = this.#keeping ?? {};
    const known = Math.max(0, Math.min(part.length, keptBytes - this.#seenBytes));
    this.#seenBytes += part.length;
    if (file !== undefined && known < part.length) await file.appendFile(part.subarray(known));
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await this.#iterator.next();
      return done === true ? undefined : value;
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }
}

function nameOf({ digest, diffId }: LayerSource): string {
  const name = digest ?? diffId;
  return name === undefined ? "archive" : `layer ${name}`;
}

/** Whether a file is a tar, compressed or not. Rejects with what its bytes' source fails with. */
export async function isTar(bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<boolean> {
  const input = new Input({ bytes });
  const isZstd = recognize(await input.peek()) === "zstd";
  const { output } = await feed(startHelper(["probe"]), { input, isZstd }, signal);
  return output !== undefined;
}

/** By the first bytes, as Docker does: media types lie now and then. */
export function recognize(start: Uint8Array): "gzip" | "zstd" | "xz" | "bzip2" | "none" {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd") || /^5.2a4d18/.test(hex)) return "zstd";
  if (hex === "fd377a585a00") return "xz";
  if (hex.startsWith("425a68")) return "bzip2";
  return "none";
}

function isBrokenPipe(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "EPIPE" || code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

function explain(name: string, cause: unknown): PullError {
  if (cause instanceof HelperError) {
    if (cause.kind === "nospace")
      return new PullError("NoSpace", `no room on the disk to unpack ${name}: ${cause.message}`, { cause });
    if (cause.kind === "bad") return new PullError("BadLayer", `${name} ${cause.message}`, { cause });
    return new PullError("BadLayer", `${name} cannot be unpacked on this machine: ${cause.message}`, { cause });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PullError("BadLayer", `${name} cannot be decompressed: ${why}`, { cause });
}
