// What layers are compressed with: whatever the usual programs make of all sorts of content comes out as it went in, and bytes that were
// changed on the way are refused in words.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { below, type Random, seededRandom } from "../../lib/random.ts";
import { makeTar } from "../../test/registry.ts";
import { debianProgram } from "../../test/tools.ts";
import { PullError } from "./images.ts";
import { isTar, type LayerSource, unpackLayer } from "./unpack.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = mkdtempSync(join(tmpdir(), `naru-formats-${process.pid}-`));
after(() => rmSync(folder, { recursive: true, force: true }));
const limits = { bytesMax: 64_000_000, entriesMax: 100 };
const xz = await debianProgram("xz-utils", "usr/bin/xz");
const bzip2 = await debianProgram("bzip2", "bin/bzip2");
let next = 0;

const skippable = Buffer.from("5f2a4d18040000006e617275", "hex");
const pipe = (program: string, ...args: readonly string[]) => {
  return (bytes: Buffer) => execFileSync(program, args, { input: bytes, maxBuffer: 1e9 });
};
const compressors: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  plain: (bytes) => bytes,
  "gzip 0": (bytes) => gzipSync(bytes, { level: 0 }),
  "gzip 1": (bytes) => gzipSync(bytes, { level: 1 }),
  "gzip 9": (bytes) => gzipSync(bytes, { level: 9 }),
  "gzip, fixed codes": (bytes) => gzipSync(bytes, { strategy: constants.Z_FIXED }),
  "gzip, codes alone": (bytes) => gzipSync(bytes, { strategy: constants.Z_HUFFMAN_ONLY }),
  "gzip, runs": (bytes) => gzipSync(bytes, { strategy: constants.Z_RLE, memLevel: 1 }),
  "gzip, members": (bytes) =>
    Buffer.concat([
      gzipSync(bytes.subarray(0, 700)),
      gzipSync(Buffer.alloc(0)),
      gzipSync(bytes.subarray(700, 300_000)),
      gzipSync(bytes.subarray(300_000)),
    ]),
  zstd: (bytes) => zstdCompressSync(bytes),
  "zstd, checksum": (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  "zstd, largest window": (bytes) => storedFrame(bytes, 27),
  "zstd, frames and what is between": (bytes) =>
    Buffer.concat([
      skippable,
      zstdCompressSync(bytes.subarray(0, 700)),
      skippable,
      zstdCompressSync(Buffer.alloc(0)),
      zstdCompressSync(bytes.subarray(700)),
      skippable,
    ]),
  xz: pipe(xz, "-1"),
  "xz, many blocks": pipe(xz, "-1", "--block-size=100000", "--check=crc32"),
  "xz, sha256": pipe(xz, "--lzma2=preset=1,dict=4096,lc=0,lp=4,pb=0", "--check=sha256"),
  "xz, streams": (bytes) =>
    Buffer.concat([pipe(xz, "-1")(bytes.subarray(0, 1000)), Buffer.alloc(8), pipe(xz, "-1")(bytes.subarray(1000))]),
  bzip2: pipe(bzip2, "-9"),
  "bzip2, small blocks": pipe(bzip2, "-1"),
  "bzip2, streams": (bytes) => Buffer.concat([pipe(bzip2)(bytes.subarray(0, 1000)), pipe(bzip2)(bytes.subarray(1000))]),
};

const random = seededRandom(4711);
const contents: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  "one byte": Buffer.from("x"),
  zeros: Buffer.alloc(3_000_000),
  noise: noise(random, 700_000),
  words: words(random, 1_500_000),
  "short runs": Buffer.from(Array.from({ length: 300_000 }, (_, i) => Math.floor(i / (4 + (i % 7))) % 251)),
  "far repetitions": repeated(noise(random, 32_768), 20),
};

test("whatever programs compress comes out as it went in unpackLayer", async () => {
  const wrong: string[] = [];
  for (const [content, bytes] of Object.entries(contents)) {
    const tar = await makeTar([{ name: "a", content: bytes }]);
    for (const [how, compress] of Object.entries(compressors)) {
      const blob = compress(tar);
      const directory = newDirectory();
      const failure = await unpackLayer({ ...sourceOf(blob), diffId: digest(tar) }, { directory, limits }).then(
        () => undefined,
        (error: unknown) => String(error),
      );
      const same = failure === undefined && bytes.equals(await readFile(join(directory, "a")));
      if (!same) wrong.push(`${content}, ${how}: ${failure ?? "other content"}`);
      rmSync(directory, { recursive: true });
    }
  }
  assert.deepEqual(wrong, []);
});

test("bytes that were changed are refused in words unpackLayer", async () => {
  const tar = await makeTar([{ name: "a", content: words(random, 40_000) }]);
  const kinds = new Set<string>();
  for (const compress of Object.values(compressors)) {
    const blob = compress(tar);
    for (let round = 0; round < 12; round++) {
      const changed = Buffer.from(blob);
      for (let flips = below(random, 3) + 1; flips > 0; flips--)
        changed[below(random, changed.length)] = below(random, 256);
      const sent = round % 3 === 0 ? changed.subarray(0, below(random, changed.length)) : changed;
      const directory = newDirectory();
      await unpackLayer({ ...sourceOf(sent), diffId: digest(tar) }, { directory, limits }).then(
        () => kinds.add(sent.equals(blob) ? "the same" : "taken"),
        (error: unknown) => kinds.add(error instanceof PullError ? error.failure : String(error)),
      );
      rmSync(directory, { recursive: true });
    }
  }
  // "taken": bytes of a header that mean nothing, such as a name or a time.
  kinds.delete("taken");
  kinds.delete("the same");
  assert.deepEqual([...kinds].sort(), ["BadLayer", "WrongDigest"]);
});

test("what is wrong with zstd is said unpackLayer", async () => {
  const tar = await makeTar([{ name: "a", content: words(random, 40_000) }]);
  const good = zstdCompressSync(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const broken: Readonly<Record<string, Buffer>> = {
    "a window for which there is no room": storedFrame(tar, 28),
    "a frame of an old version behind": Buffer.concat([good, Buffer.from("27b52ffd0000000000", "hex")]),
    "half a magic number behind": Buffer.concat([good, Buffer.from("28b5", "hex")]),
    "another checksum": Buffer.concat([good.subarray(0, -4), Buffer.alloc(4)]),
    "half of it": good.subarray(0, good.length / 2),
  };
  const said: Record<string, string> = {};
  for (const [what, blob] of Object.entries(broken)) {
    const directory = newDirectory();
    await unpackLayer({ ...sourceOf(blob), diffId: digest(tar) }, { directory, limits }).catch((error: unknown) => {
      said[what] = String(error).replace(/^.*sha256:\w+ /, "");
    });
  }
  assert.deepEqual(said, {
    "a window for which there is no room": "takes more than 128 MiB of memory to decompress",
    "a frame of an old version behind": "is compressed wrongly: no zstd frame",
    "half a magic number behind": "ends in the middle of its compressed data",
    "another checksum": "is compressed wrongly: its checksum is another",
    "half of it": "ends in the middle of its compressed data",
  });
});

test("what came is kept as it came, what was there is not kept twice unpackLayer", async () => {
  const tar = await makeTar([{ name: "a", content: words(random, 400_000) }]);
  const kept = [];
  for (const blob of [gzipSync(tar), zstdCompressSync(tar), tar]) {
    for (const keptBytes of [0, 3, 5000, blob.length]) {
      const path = join(folder, `kept-${next++}`);
      await using file = await open(path, "a+");
      await file.appendFile(blob.subarray(0, keptBytes));
      await unpackLayer({ ...sourceOf(blob), keeping: { file, keptBytes } }, { directory: newDirectory(), limits });
      kept.push(blob.equals(await readFile(path)));
    }
  }
  assert.deepEqual(
    kept,
    kept.map(() => true),
  );
});

test("a tar is known however it is compressed isTar", async () => {
  const tar = await makeTar([{ name: "a", content: words(random, 2_000_000) }]);
  const text = words(random, 2_000_000);
  const answers = Object.values(compressors).map(async (compress) => [
    await isTar(sourceOf(compress(tar)).bytes),
    await isTar(sourceOf(compress(text)).bytes),
  ]);
  assert.deepEqual(
    await Promise.all(answers),
    answers.map(() => [true, false]),
  );
});

/** A frame (RFC 8878, section 3.1.1) of blocks that are not compressed, which may look back 2^windowLog bytes. */
function storedFrame(bytes: Buffer, windowLog: number): Buffer {
  const blockBytesMax = 128 * 1024;
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3])];
  for (let at = 0; at < bytes.length; at += blockBytesMax) {
    const block = bytes.subarray(at, at + blockBytesMax);
    const head = Buffer.alloc(3);
    head.writeUIntLE((block.length << 3) | (at + blockBytesMax >= bytes.length ? 1 : 0), 0, 3);
    parts.push(head, block);
  }
  return Buffer.concat(parts);
}

function sourceOf(blob: Buffer): LayerSource {
  const cut = below(random, blob.length + 1);
  const bytes = (async function* () {
    if (cut > 0) yield blob.subarray(0, cut);
    yield blob.subarray(cut);
  })();
  return { bytes, digest: digest(blob) };
}

function newDirectory(): string {
  const directory = join(folder, String(next++));
  mkdirSync(directory);
  return directory;
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function noise(from: Random, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => below(from, 256)));
}

function words(from: Random, size: number): Buffer {
  const known = Array.from({ length: 400 }, () => noise(from, 2 + below(from, 9)).toString("base64"));
  let text = "";
  while (text.length < size) text += `${known[below(from, known.length)]} `;
  return Buffer.from(text.slice(0, size));
}

function repeated(bytes: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}
