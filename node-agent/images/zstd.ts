// Zstandard of several frames (RFC 8878), as zstd:chunked layers and parallel compressors make it: Node's decompressor ends with
// the first frame, so the frames are told apart here and each gets its own.
import { pipeline } from "node:stream/promises";
import { createZstdDecompress, zstdDecompressSync } from "node:zlib";

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const blockBytesMax = 128 * 1024;
// Frames that are small on both sides are decompressed at once: a layer in chunks has one for each file.
const smallBytesMax = 64 * 1024;
const smallOutputBytesMax = 512 * 1024;
const chunkBytes = 256 * 1024;

/** Throws when the frames are broken. */
export async function* decompressZstd(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(parts);
  for (;;) {
    const magic = await reader.takeOrEnd(4);
    if (magic === undefined) return;
    const number = magic.readUInt32LE(0);
    if ((number & 0xfffffff0) >>> 0 === skippableMagic) {
      await reader.skip((await reader.take(4)).readUInt32LE(0));
    } else if (number === frameMagic) {
      yield* decompressFrame(framePieces(magic, reader));
    } else {
      throw new Error("zstd frame expected");
    }
  }
}

async function* decompressFrame(pieces: AsyncGenerator<Buffer>): AsyncGenerator<Uint8Array> {
  const start: Buffer[] = [];
  let bytes = 0;
  let ended = false;
  while (!ended && bytes <= smallBytesMax) {
    const { done, value } = await pieces.next();
    if (done === true) {
      ended = true;
    } else {
      start.push(value);
      bytes += value.length;
    }
  }
  const small = ended ? decompressSmall(Buffer.concat(start)) : undefined;
  if (small !== undefined) {
    yield small;
    return;
  }
  const decompressor = createZstdDecompress({ chunkSize: chunkBytes });
  const feeding = pipeline(chain(start, pieces), decompressor);
  // Its failure is also the decompressor's, which the loop below meets.
  feeding.catch(() => {});
  for await (const part of decompressor) yield part;
  await feeding;
}

function decompressSmall(frame: Buffer): Buffer | undefined {
  try {
    return zstdDecompressSync(frame, { maxOutputLength: smallOutputBytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return undefined;
    throw error;
  }
}

async function* chain(start: readonly Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* start;
  yield* rest;
}

// The frame's header (section 3.1.1.1), its blocks with three bytes before each, and a checksum when the header says so.
async function* framePieces(magic: Buffer, reader: ByteReader): AsyncGenerator<Buffer> {
  const descriptor = await reader.take(1);
  const flags = descriptor[0] ?? 0;
  const singleSegment = (flags & 0x20) !== 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  yield Buffer.concat([
    magic,
    descriptor,
    await reader.take((singleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes),
  ]);
  for (let last = false; !last; ) {
    const head = await reader.take(3);
    const block = head.readUIntLE(0, 3);
    last = (block & 1) !== 0;
    const size = block >> 3;
    if (size > blockBytesMax) throw new Error("zstd block is too large");
    // A block of one repeated byte holds just that byte.
    const isRepeated = ((block >> 1) & 3) === 1;
    yield Buffer.concat([head, await reader.take(isRepeated ? 1 : size)]);
  }
  if ((flags & 4) !== 0) yield await reader.take(4);
}

class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(parts: AsyncIterable<Uint8Array>) {
    this.#iterator = parts[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Buffer> {
    if (bytes === 0) return Buffer.alloc(0);
    const taken = await this.takeOrEnd(bytes);
    if (taken === undefined) throw new Error("unexpected end of zstd data");
    return taken;
  }

  /** Undefined at the end. */
  async takeOrEnd(bytes: number): Promise<Buffer | undefined> {
    if (!(await this.#fill(bytes))) {
      if (this.#held.length === 0) return undefined;
      throw new Error("unexpected end of zstd data");
    }
    const taken = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    return taken;
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      if (!(await this.#fill(1))) throw new Error("unexpected end of zstd data");
      const part = Math.min(left, this.#held.length);
      this.#held = this.#held.subarray(part);
      left -= part;
    }
  }

  async #fill(bytes: number): Promise<boolean> {
    while (this.#held.length < bytes) {
      const { done, value } = await this.#iterator.next();
      if (done === true) return false;
      this.#held =
        this.#held.length === 0
          ? Buffer.from(value.buffer, value.byteOffset, value.length)
          : Buffer.concat([this.#held, value]);
    }
    return true;
  }
}
