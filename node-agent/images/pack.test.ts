// Layers packed from their directories by the real, confined program: what went in comes out, always as the same bytes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { extract } from "tar-stream";
import { makeTestFolder } from "../../test/folders.ts";
import { makeTar, type TarEntry } from "../../test/registry.ts";
import { okWords, runHelper, startPacking } from "./helper.ts";
import { unpackLayer } from "./unpack.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = makeTestFolder("pack");
after(() => rmSync(folder, { recursive: true, force: true }));
let next = 0;
const newDirectory = () => {
  const path = join(folder, String(next++));
  mkdirSync(path);
  return path;
};

async function unpacked(tar: Buffer): Promise<string> {
  const directory = newDirectory();
  await unpackLayer({ bytes: Readable.from([tar]) }, { directory, limits: { bytesMax: 1e9, entriesMax: 1e5 } });
  return directory;
}

async function packLayer(directory: string, timeMax = -1): Promise<Buffer> {
  const { tar, done } = startPacking(["pack-layer", `dir:${directory}`, String(timeMax)]);
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  const packed = Buffer.concat(parts);
  assert.equal(okWords(await done)[0], createHash("sha256").update(packed).digest("hex"));
  return packed;
}

/** Everything of every entry. */
async function listed(tar: Buffer): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract())) {
    let text = "";
    for await (const part of entry) text += part;
    const { name, type, mode = 0, uid, gid, mtime, linkname, devmajor, devminor, pax } = entry.header;
    const attributes = Object.entries(pax ?? {}).filter(([key]) => /^(SCHILY|uid|gid)/.test(key));
    const more = [
      linkname ? `-> ${linkname}` : "",
      devmajor ? `${devmajor}:${devminor}` : "",
      text,
      ...attributes.flat(),
    ];
    const shown = name.length > 60 ? `${name.slice(0, 20)}…${name.length}` : name;
    lines.push(
      `${type} ${shown} ${mode.toString(8)} ${uid}:${gid} ${(mtime?.getTime() ?? 0) / 1000} ${more.join(" ")}`
        .replace(/ +/g, " ")
        .trim(),
    );
  }
  return lines;
}

const at = (seconds: number) => ({ mtime: new Date(seconds * 1000) });

test("a layer's entries of every kind come out as they went in pack-layer", async () => {
  const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(90)}`;
  const entries: readonly TarEntry[] = [
    { name: "a/", type: "directory", mode: 0o2775, uid: 5, gid: 6, ...at(10) },
    { name: "a/big-owner", content: "x", pax: { uid: "3000000", gid: "2500000" }, ...at(11) },
    { name: "a/hard", type: "link", linkname: "a/big-owner", ...at(11) },
    { name: "a/setuid", content: "s", mode: 0o4755, ...at(12) },
    { name: "b", type: "symlink", linkname: `/${long}`, ...at(13) },
    { name: "c", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666, ...at(14) },
    { name: "d", type: "fifo", mode: 0o600, ...at(15) },
    { name: "e", content: "attributes", pax: { "SCHILY.xattr.user.b": "2", "SCHILY.xattr.user.a": "1" }, ...at(16) },
    { name: "f/.wh.gone", content: "" },
    { name: "g/.wh..wh..opq", content: "" },
    { name: long, content: "long", ...at(17) },
    { name: "ünicode", content: "ü", ...at(18) },
  ];
  const first = await packLayer(await unpacked(await makeTar(entries)));
  const lines = (await listed(first)).map((line) =>
    line.replace(/^((?:file|directory) (?:[dfg]|f\/\.wh|g\/\.wh)\S* \d+ \d+:\d+) \d+(\.\d+)?/, "$1 T"),
  );
  const longTarget = `/${long}`;
  assert.deepEqual(lines, [
    "directory a/ 2775 5:6 10",
    "file a/big-owner 644 0:0 11 x uid 3000000 gid 2500000",
    "link a/hard 644 0:0 11 -> a/big-owner uid 3000000 gid 2500000",
    "file a/setuid 4755 0:0 12 s",
    `symlink b 777 0:0 13 -> ${longTarget}`,
    "character-device c 666 0:0 14 1:3",
    "fifo d 600 0:0 15",
    `directory ${"d".repeat(20)}…91 755 0:0 T`,
    `directory ${"d".repeat(20)}…182 755 0:0 T`,
    `file ${"d".repeat(20)}…272 644 0:0 T long`,
    "file e 644 0:0 16 attributes SCHILY.xattr.user.a 1 SCHILY.xattr.user.b 2",
    "directory f/ 755 0:0 T",
    "file f/.wh.gone 0 0:0 T",
    "directory g/ 755 0:0 T",
    "file g/.wh..wh..opq 0 0:0 T",
    "file ünicode 644 0:0 18 ü",
  ]);
});

test("the same files make the same bytes, whatever order they were made in and whenever, in hash-layer", async () => {
  const [one, two] = [newDirectory(), newDirectory()];
  const make = (directory: string, names: readonly string[]) => {
    for (const name of names) writeFileSync(join(directory, name), name);
    symlinkSync("x", join(directory, "link"));
    linkSync(join(directory, "b"), join(directory, "z"));
  };
  make(one, ["a", "b", "c"]);
  make(two, ["c", "b", "a"]);
  utimesSync(join(two, "a"), 2_000_000_000, 2_000_000_000);
  const hash = async (directory: string, timeMax: number) =>
    okWords(await runHelper(["hash-layer", `dir:${directory}`, String(timeMax)]))[0];
  const [first, second] = [await hash(one, 1000), await hash(two, 1000)];
  // The files were given that time: later packings need no word of it.
  const later = createHash("sha256")
    .update(await packLayer(two))
    .digest("hex");
  assert.deepEqual([second, later], [first, first]);
});

test("of many files with several names each, every one goes along once in pack-layer", async () => {
  const directory = newDirectory();
  const names = Array.from({ length: 1000 }, (_, i) => String(i).padStart(4, "0"));
  for (const name of names) {
    writeFileSync(join(directory, `a${name}`), name);
    linkSync(join(directory, `a${name}`), join(directory, `b${name}`));
  }
  const found = (await listed(await packLayer(directory))).map((line) => line.split(" "));
  assert.deepEqual(
    found.map(([type, name, , , , ...more]) => [type, name, more.at(-1)]),
    [...names.map((name) => ["file", `a${name}`, name]), ...names.map((name) => ["link", `b${name}`, `a${name}`])],
  );
});

test("a path where nothing lies gives no tar in pack", async () => {
  const directory = newDirectory();
  const { done, tar } = startPacking(["pack", `dir:${directory}`, "none", "x"]);
  tar.resume();
  assert.equal((await done).toString(), "ok\n");
});
