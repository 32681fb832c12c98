// One layer from its compressed bytes to files: hash, decompress, hash, tar, in one pipeline. A layer that is not what its
// digests say is reported as such, and the caller throws away what was written.
import { createHash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { HelperError, okWords, startHelper } from "./helper.ts";
import { PullError } from "./images.ts";
import { decompressZstd } from "./zstd.ts";

export interface LayerLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

export interface LayerSource {
  /** Of the uncompressed bytes; absent for an archive of images, which has none. */
  readonly diffId?: string;
  /** Of the compressed bytes; absent when only the diff id is known. */
  readonly digest?: string;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export const layerLimits: LayerLimits = { bytesMax: 64 * 1024 ** 3, entriesMax: 2_000_000 };

const chunkBytes = 256 * 1024;

/** Unpacks into an existing, empty directory and gives the size of its files. Rejects with PullError. */
export async function unpackLayer(
  source: LayerSource,
  options: { readonly directory: string; readonly limits: LayerLimits },
  signal?: AbortSignal,
): Promise<number> {
  const { directory, limits } = options;
  const args = ["unpack", directory, String(limits.bytesMax), String(limits.entriesMax)];
  const output = await unpackWith(source, args, signal);
  return Number(okWords(output)[1]);
}

/** Unpacks an archive below a path of a root of naru-unpack, where whiteouts are files like others. Rejects with PullError. */
export async function unpackPlain(
  bytes: AsyncIterable<Uint8Array>,
  { root, path }: { readonly root: string; readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  await unpackWith({ bytes }, ["write", root, path, "0", ""], signal);
}

async function unpackWith(
  source: LayerSource,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const input = new HashedInput(source.bytes);
  const { child, done } = startHelper(args);
  // Its words say more than the broken pipe that its end makes; settled before the pipeline's failure is looked at.
  const outcome = done.then(
    (output) => ({ output, error: undefined }),
    (error: unknown) => ({ output: undefined, error }),
  );
  const stdin = child.stdin;
  if (stdin === null) throw new Error("bug: helper without stdin");
  let failure: unknown;
  try {
    const compression = recognize(await input.peek());
    const stop = signal === undefined ? {} : { signal };
    const bytes = compression === "zstd" ? decompressZstd(input.read()) : input.read();
    if (compression !== "gzip") await pipeline(bytes, stdin, stop);
    else await pipeline(bytes, createGunzip({ chunkSize: chunkBytes }), stdin, stop);
  } catch (error) {
    failure = error;
    stdin.on("error", () => {});
    stdin.destroy();
  }
  try {
    const { output, error: helperError } = await outcome;
    signal?.throwIfAborted();
    if (failure instanceof PullError) throw failure;
    // EPIPE only says that the helper ended; other failures of the pipeline are causes of its end.
    const error = helperError !== undefined && (failure === undefined || isBrokenPipe(failure)) ? helperError : failure;
    await verify(source, { input, output, error });
    return output ?? Buffer.alloc(0);
  } finally {
    await input.close();
  }
}

async function verify(
  source: LayerSource,
  {
    input,
    output,
    error,
  }: { readonly input: HashedInput; readonly output: Buffer | undefined; readonly error: unknown },
): Promise<void> {
  const digestName = source.digest ?? source.diffId;
  const name = digestName === undefined ? "archive" : `layer ${digestName}`;
  if (error instanceof HelperError && error.kind === "nospace") throw explain(name, error);
  // Whatever went wrong with its content: first of all it may not be the content that was promised.
  const digest = await input.digest();
  if (source.digest !== undefined && digest !== source.digest) {
    throw new PullError(
      "WrongDigest",
      `layer ${source.digest} has digest ${digest}: the registry or the way to it is broken`,
    );
  }
  if (error !== undefined) throw explain(name, error);
  const diffId = `sha256:${output === undefined ? "" : okWords(output)[2]}`;
  if (source.diffId !== undefined && diffId !== source.diffId) {
    throw new PullError("WrongDigest", `${name} unpacks to ${diffId}, but its image's config says ${source.diffId}`);
  }
}

// Hashes what passes, can look ahead, and can read the rest after the stages behind it have failed.
class HashedInput {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #hash = createHash("sha256");
  #ahead: Uint8Array | undefined;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#iterator = bytes[Symbol.asyncIterator]();
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
    if (this.#ahead !== undefined && this.#ahead.length > 0) yield this.#ahead;
    for (let part = await this.#next(); part !== undefined; part = await this.#next()) yield part;
  }

  /** Of everything, also what nobody read. */
  async digest(): Promise<string> {
    while ((await this.#next()) !== undefined);
    return `sha256:${this.#hash.digest("hex")}`;
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #next(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#iterator.next();
    if (done === true) return undefined;
    this.#hash.update(value);
    return value;
  }
}

// By the first bytes, as Docker does: media types lie now and then.
export function recognize(start: Uint8Array): "gzip" | "zstd" | "none" {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd") || /^5.2a4d18/.test(hex)) return "zstd";
  if (hex.startsWith("fd377a585a00")) throw new HelperError("bad", "is compressed with xz, which Naru does not unpack");
  if (hex.startsWith("425a68")) throw new HelperError("bad", "is compressed with bzip2, which Naru does not unpack");
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
