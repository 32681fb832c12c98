// One layer from its compressed bytes to files. The helper hashes, keeps, decompresses, hashes and unpacks in one go. A layer that is not
// what its digests say is reported as such, and the caller throws away what was written.
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { HelperError, okWords, startHelper } from "./helper.ts";
import { PullError } from "./images.ts";

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
  const { keeping } = source;
  const kept = keeping === undefined ? "-" : String(keeping.keptBytes);
  const args = ["unpack", directory, String(limits.bytesMax), String(limits.entriesMax), kept];
  const { output, error } = await feed(startHelper(args, keeping?.file.fd), source.bytes, signal);
  // Whatever went wrong with its content: first of all it may not be the content that was promised.
  const words = output === undefined ? [] : okWords(output);
  const name = nameOf(source);
  if (error instanceof HelperError && error.kind === "nospace") throw explain(name, error);
  const digest = words[3] ?? (error instanceof HelperError ? error.input : undefined);
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
  const { error } = await feed(startHelper(["write", root, path, "0", ""]), bytes, signal);
  if (error !== undefined) throw explain(nameOf({}), error);
}

/** Rejects with what the source of the bytes fails with. */
async function feed(
  { child, done }: ReturnType<typeof startHelper>,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ readonly output: Buffer | undefined; readonly error: unknown }> {
  // Its words say more than the broken pipe that its end makes; settled before the pipeline's failure is looked at.
  const outcome = done.then(
    (output) => ({ output, error: undefined }),
    (error: unknown) => ({ output: undefined, error }),
  );
  const { stdin } = child;
  if (stdin === null) throw new Error("bug: helper without stdin");
  let sourceFailure: { readonly cause: unknown } | undefined;
  const watched = async function* () {
    try {
      yield* bytes;
    } catch (cause) {
      sourceFailure = { cause };
      throw cause;
    }
  };
  let failure: unknown;
  try {
    await pipeline(watched(), stdin, signal === undefined ? {} : { signal });
  } catch (error) {
    failure = error;
    stdin.on("error", () => {});
    stdin.destroy();
  }
  const { output, error } = await outcome;
  if (sourceFailure !== undefined) throw sourceFailure.cause;
  signal?.throwIfAborted();
  // EPIPE only says that the helper ended; other failures of the pipeline are causes of its end.
  return { output, error: error !== undefined && (failure === undefined || isBrokenPipe(failure)) ? error : failure };
}

function nameOf({ digest, diffId }: Pick<LayerSource, "digest" | "diffId">): string {
  const name = digest ?? diffId;
  return name === undefined ? "archive" : `layer ${name}`;
}

/** Whether a file is a tar, compressed or not. Rejects with what its bytes' source fails with. */
export async function isTar(bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<boolean> {
  const { output } = await feed(startHelper(["probe"]), bytes, signal);
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
