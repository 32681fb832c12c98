// Layers unpacked by the real, confined program: honest ones come out as they went in, hostile ones fail and leave nothing.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { makeTar, type TarEntry } from "../../test/registry.ts";
import { PullError } from "./images.ts";
import { unpackLayer } from "./unpack.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = mkdtempSync(join(tmpdir(), `naru-unpack-${process.pid}-`));
after(() => rmSync(folder, { recursive: true, force: true }));
const limits = { bytesMax: 1_000_000, entriesMax: 100 };
let next = 0;

async function unpack(tar: Buffer, blob = tar, given = limits): Promise<string> {
  const directory = join(folder, String(next++));
  mkdirSync(directory);
  const parts = [blob.subarray(0, 3), blob.subarray(3)];
  const bytes = (async function* () {
    yield* parts;
  })();
  await unpackLayer({ bytes, digest: hash(blob), diffId: hash(tar) }, { directory, limits: given });
  return directory;
}

async function refusal(tar: Buffer, blob = tar): Promise<string> {
  return await unpack(tar, blob).then(
    () => "none",
    (error) => {
      assert(error instanceof PullError);
      // Errors of the system in musl's words.
      const words = error.message.replace(/^layer sha256:\w+ /, "").replace("File name too long", "Filename too long");
      return `${error.failure}: ${words}`;
    },
  );
}

function hash(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function describe(directory: string): Readonly<Record<string, string>> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const path = join(directory, name);
      const { mode, uid, gid, mtimeMs, nlink, rdev } = lstatSync(path);
      const kind = mode & 0o170000;
      const what =
        kind === 0o120000
          ? `-> ${readlinkSync(path)}`
          : kind === 0o100000
            ? `${nlink} ${readFileSync(path)}`
            : `dev ${rdev}`;
      return [name, `${mode.toString(8)} ${uid}:${gid} ${mtimeMs} ${what}`];
    }),
  );
}

test("unpackLayer writes files, links, devices, owners, modes, times and attributes", async () => {
  const date = { mtime: new Date(1_000_000_000_123) };
  const long = `${"d".repeat(90)}/${"f".repeat(200)}`;
  const directory = await unpack(
    await makeTar([
      { name: "./", type: "directory", mode: 0o755, ...date },
      { name: "dir/", type: "directory", mode: 0o1777, uid: 5, gid: 6, ...date },
      {
        name: "/dir/file",
        content: "hello",
        mode: 0o6755,
        uid: 3_000_000,
        gid: 7,
        ...date,
        pax: { "SCHILY.xattr.user.note": "yes", uid: "3000000", mtime: "1000000000.5" },
      },
      { name: "hard", type: "link", linkname: "dir/file" },
      { name: "soft", type: "symlink", linkname: "/dir/../file", ...date },
      { name: "null", type: "character-device", mode: 0o666, devmajor: 1, devminor: 3, ...date },
      { name: "pipe", type: "fifo", mode: 0o600, ...date },
      { name: "dir/file", content: "again", mode: 0o4755, uid: 1, gid: 1, ...date },
      { name: long, content: "x", mode: 0o644, ...date },
    ]),
  );
  assert.deepEqual(
    Object.entries(describe(directory)).filter(([name]) => !/^d+$/.test(name)),
    Object.entries({
      [long]: "100644 0:0 1000000000000 1 x",
      dir: "41777 5:6 1000000000000 dev 0",
      "dir/file": "104755 1:1 1000000000000 1 again",
      hard: "106755 3000000:7 1000000000500 1 hello",
      null: "20666 0:0 1000000000000 dev 259",
      pipe: "10600 0:0 1000000000000 dev 0",
      soft: "120777 0:0 1000000000000 -> /dir/../file",
    }),
  );
});

test("unpackLayer takes gzip of several members, zstd of several frames, and what follows the end", async () => {
  const tar = await makeTar([{ name: "a", content: "b".repeat(100_000) }]);
  const [half, rest] = [tar.subarray(0, 5000), tar.subarray(5000)];
  const skippable = Buffer.from("502a4d18040000006e617275", "hex");
  const blobs = [
    gzipSync(tar),
    Buffer.concat([gzipSync(half), gzipSync(rest)]),
    zstdCompressSync(tar),
    Buffer.concat([zstdCompressSync(half), zstdCompressSync(rest)]),
    Buffer.concat([skippable, zstdCompressSync(half), skippable, zstdCompressSync(rest), skippable]),
    zstdCompressSync(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    Buffer.concat([gzipSync(tar), Buffer.alloc(600_000)]),
  ];
  const sizes = await Promise.all(
    blobs.map((blob) =>
      unpack(tar, blob).then(
        (directory) => lstatSync(join(directory, "a")).size,
        (error) => String(error),
      ),
    ),
  );
  assert.deepEqual(
    sizes,
    blobs.map(() => 100_000),
  );
});

test("unpackLayer decompresses zstd that is large, random, and in many frames", async () => {
  const content = Buffer.concat([randomBytes(700_000), Buffer.alloc(5_000_000), randomBytes(300_000)]);
  const tar = await makeTar([{ name: "a", content }]);
  const frames = Array.from({ length: Math.ceil(tar.length / 50_000) }, (_, i) =>
    zstdCompressSync(tar.subarray(i * 50_000, (i + 1) * 50_000)),
  );
  const wide = { bytesMax: 10_000_000, entriesMax: 10 };
  const directories = [await unpack(tar, zstdCompressSync(tar), wide), await unpack(tar, Buffer.concat(frames), wide)];
  assert.deepEqual(
    directories.map((directory) => content.equals(readFileSync(join(directory, "a")))),
    [true, true],
  );
});

test("unpackLayer keeps hostile tars within their folder", async () => {
  const outside = join(folder, "outside");
  mkdirSync(outside);
  const inside = await unpack(
    await makeTar([
      { name: "link", type: "symlink", linkname: outside },
      { name: "up", type: "symlink", linkname: "../../../../.." },
      { name: "up/escaped", content: "x" },
    ]),
  );
  const refusals = {
    dotdot: await refusal(await makeTar([{ name: "a/../../x", content: "x" }])),
    parentLink: await refusal(
      await makeTar([
        { name: "l", type: "symlink", linkname: outside },
        { name: "l/x", content: "x" },
      ]),
    ),
    hardOutside: await refusal(await makeTar([{ name: "h", type: "link", linkname: "/etc/passwd" }])),
    hardDotdot: await refusal(await makeTar([{ name: "h", type: "link", linkname: "../../etc/passwd" }])),
    hardThroughLink: await refusal(
      await makeTar([
        { name: "l", type: "symlink", linkname: "/etc" },
        { name: "h", type: "link", linkname: "l/passwd" },
      ]),
    ),
    belowFile: await refusal(
      await makeTar([
        { name: "f", content: "x" },
        { name: "f/g", content: "x" },
      ]),
    ),
    belowWhiteout: await refusal(await makeTar([{ name: "d/.wh.a/b", content: "x" }])),
    nothing: await refusal(await makeTar([{ name: "d/.wh.", content: "" }])),
    nothingUp: await refusal(await makeTar([{ name: "d/.wh...", content: "" }])),
    longName: await refusal(await makeTar([{ name: "n".repeat(300), content: "" }])),
  };
  assert.deepEqual(
    [existsSync(join(inside, "escaped")), readdirSync(outside), refusals],
    [
      true,
      [],
      {
        dotdot: "BadLayer: has an entry that leads outside of the image: a/../../x",
        parentLink: "BadLayer: has files below l, which is not a directory",
        hardOutside: "BadLayer: has a hard link h to etc/passwd, which the layer does not hold",
        hardDotdot: "BadLayer: has an entry that leads outside of the image: ../../etc/passwd",
        hardThroughLink: "BadLayer: has a hard link h to l/passwd, which the layer does not hold",
        belowFile: "BadLayer: has files below f, which is not a directory",
        belowWhiteout: "BadLayer: has files below a whiteout: d/.wh.a/b",
        nothing: "BadLayer: has a whiteout of nothing: d/.wh.",
        nothingUp: "BadLayer: has a whiteout of nothing: d/.wh...",
        longName: `BadLayer: make file ${"n".repeat(300)}: Filename too long`,
      },
    ],
  );
});

test("unpackLayer bounds entries, bytes and headers, and refuses what is broken", async () => {
  const many: TarEntry[] = Array.from({ length: 101 }, (_, i) => ({ name: `f${i}`, content: "" }));
  const whole = await makeTar([{ name: "a", content: "x".repeat(3000) }]);
  const zeros = Buffer.alloc(3_000_000);
  const broken = Buffer.from(whole);
  broken[10] = 65;
  const hugeSize = Buffer.from(whole);
  hugeSize.write("77777777777\0", 124, "latin1");
  hugeSize.write("        ", 148, "latin1");
  const sum = hugeSize.subarray(0, 512).reduce((a, b) => a + b, 0);
  hugeSize.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  const big = await makeTar([{ name: "big", content: zeros }]);
  assert.deepEqual(
    {
      entries: await refusal(await makeTar(many)),
      depth: await refusal(await makeTar([{ name: "d/".repeat(150), type: "directory" }])),
      bytes: await refusal(big, gzipSync(big)),
      cut: await refusal(whole.subarray(0, 1000)),
      checksum: await refusal(broken),
      size: await refusal(hugeSize),
      gzip: await refusal(whole, gzipSync(whole).subarray(0, 40)),
      xz: await refusal(whole, Buffer.from("fd377a585a000000", "hex")),
      text: await refusal(Buffer.from("<html>".repeat(200))),
      pax: await refusal(await makeTar([{ name: "p", content: "", pax: { "GNU.sparse.major": "1" } }])),
    },
    {
      entries: "BadLayer: has more than 100 entries",
      depth: "BadLayer: has more than 100 entries",
      bytes: "BadLayer: unpacks to more than 1000000 bytes",
      cut: "BadLayer: ends in the middle of a",
      checksum: "BadLayer: is no tar: a header's checksum is wrong",
      size: "BadLayer: unpacks to more than 1000000 bytes",
      gzip: "BadLayer: ends in the middle of its compressed data",
      xz: "BadLayer: ends in the middle of its compressed data",
      text: "BadLayer: has a number that is none",
      pax: "BadLayer: has a sparse file, which Naru does not unpack",
    },
  );
});

test("unpackLayer tells a wrong digest from a bad layer", async () => {
  const tar = await makeTar([{ name: "a", content: "x" }]);
  const directory = join(folder, "digests");
  mkdirSync(directory);
  const failure = (bytes: Buffer, promised: { digest: string; diffId: string }) =>
    unpackLayer(
      {
        bytes: (async function* () {
          yield bytes;
        })(),
        ...promised,
      },
      { directory, limits },
    ).then(
      () => "none",
      (error: PullError) => error.failure,
    );
  const blob = gzipSync(tar);
  const planted = Buffer.from(blob);
  planted[20] = (planted[20] ?? 0) ^ 1;
  assert.deepEqual(
    [
      await failure(blob, { digest: hash(blob), diffId: hash(tar) }),
      await failure(planted, { digest: hash(blob), diffId: hash(tar) }),
      await failure(gzipSync(tar, { level: 0 }), { digest: hash(blob), diffId: hash(tar) }),
      await failure(blob, { digest: hash(blob), diffId: hash(blob) }),
      await failure(planted, { digest: hash(planted), diffId: hash(tar) }),
    ],
    ["none", "WrongDigest", "WrongDigest", "WrongDigest", "BadLayer"],
  );
});

test("unpackLayer makes whiteouts that overlayfs understands", async () => {
  const lower = await unpack(
    await makeTar([
      { name: "gone", content: "1" },
      { name: "kept", content: "1" },
      { name: "opaque/old", content: "1" },
      { name: "replaced/old", content: "1" },
      { name: "remade/old", content: "1" },
      { name: "late/old", content: "1" },
      { name: "tree/a/b", content: "1" },
    ]),
  );
  const upper = await unpack(
    await makeTar([
      { name: ".wh.gone", content: "" },
      { name: "opaque/.wh..wh..opq", content: "" },
      { name: "opaque/new", content: "2" },
      { name: ".wh.replaced", content: "" },
      { name: "replaced", content: "2" },
      { name: ".wh.remade", content: "" },
      { name: "remade/new", content: "2" },
      { name: "late/new", content: "2" },
      { name: ".wh.late", content: "" },
      { name: "tree/.wh.a", content: "" },
      { name: ".wh..wh.plnk/1.2", content: "" },
    ]),
  );
  const mounted = join(folder, "mounted");
  mkdirSync(mounted);
  // In a mount namespace of its own, so that nothing is left over whatever happens.
  const script = `mount -t overlay overlay -o lowerdir=${upper}:${lower} ${mounted} && cd ${mounted} && find . | sort`;
  const found = execFileSync("unshare", ["--mount", "sh", "-c", script], { encoding: "utf8" }).trim().split("\n");
  assert.deepEqual(found, [
    ".",
    "./kept",
    "./late",
    "./late/new",
    "./opaque",
    "./opaque/new",
    "./remade",
    "./remade/new",
    "./replaced",
    "./tree",
  ]);
});
