// What a container sends is hostile: nothing of it lands elsewhere.
import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { extract, pack } from "tar-stream";
import { parseSide } from "./commands/cp.ts";
import { placeOf, receiveTar, sendTar } from "./copy-tar.ts";

const places: readonly (readonly [string, string | undefined])[] = [
  ["d", "/out"],
  ["d/a/b", "/out/a/b"],
  ["./d/a", "/out/a"],
  ["/d/a", "/out/a"],
  ["d/../../etc/passwd", undefined],
  ["../d", undefined],
  ["other/a", undefined],
  ["d/a\0b", undefined],
];

for (const [name, expected] of places) {
  test(`placeOf puts ${JSON.stringify(name)} at ${expected}`, () => {
    assert.equal(placeOf(name, { root: "d", destination: "/out", warn: () => {} }), expected);
  });
}

test("parseSide tells a container's place from this machine's", () => {
  assert.deepEqual(
    ["web-1:/x", "shop/web-1:/x", "./a:b", "/etc/hosts", "C"].map((word) => parseSide(word, "default")),
    [
      { namespace: "default", pod: "web-1", path: "/x" },
      { namespace: "shop", pod: "web-1", path: "/x" },
      undefined,
      undefined,
      undefined,
    ],
  );
});

test("receiveTar writes what sendTar sent, and makes no links", async () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-copy-${process.pid}-`));
  try {
    const source = join(folder, "source");
    mkdirSync(join(source, "deep"), { recursive: true });
    writeFileSync(join(source, "deep", "file"), "x".repeat(100_000), { mode: 0o640 });
    writeFileSync(join(source, "empty"), "");
    symlinkSync("/etc/passwd", join(source, "link"));
    const [pipe, warnings]: [PassThrough, string[]] = [new PassThrough(), []];
    const warn = (message: string) => void warnings.push(message);
    const destination = join(folder, "target");
    const [, files] = await Promise.all([
      sendTar(source, "root", { output: pipe, warn }),
      receiveTar(pipe, { root: "root", destination, warn }),
    ]);
    assert.deepEqual(
      [
        files,
        readdirSync(destination).sort(),
        readFileSync(join(destination, "deep", "file"), "utf8").length,
        lstatSync(join(destination, "deep", "file")).mode & 0o777,
        warnings,
      ],
      [2, ["deep", "empty"], 100_000, 0o640, ["root/link is symlink: left out"]],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("sendTar sends links as links, wherever they lead", async () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-copy-${process.pid}-`));
  try {
    for (const target of ["file", "/etc/passwd", "nowhere"])
      symlinkSync(target, join(folder, `to-${basename(target)}`));
    const [pipe, entries] = [new PassThrough(), extract()];
    pipe.pipe(entries);
    const names = (async () => {
      const seen: unknown[] = [];
      for await (const entry of entries) {
        seen.push([entry.header.name, entry.header.type, entry.header.linkname]);
        entry.resume();
      }
      return seen.sort();
    })();
    await sendTar(folder, "d", { output: pipe, warn: assert.fail });
    assert.deepEqual(await names, [
      ["d", "directory", null],
      ["d/to-file", "symlink", "file"],
      ["d/to-nowhere", "symlink", "nowhere"],
      ["d/to-passwd", "symlink", "/etc/passwd"],
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("receiveTar follows no link, makes none and leaves the destination alone", async () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-copy-${process.pid}-`));
  try {
    const [outside, destination] = [join(folder, "outside"), join(folder, "out")];
    mkdirSync(destination);
    writeFileSync(outside, "mine");
    symlinkSync(outside, join(destination, "there"));
    const tar = pack();
    tar.entry({ name: "d/link", type: "symlink", linkname: outside });
    tar.entry({ name: "d/../../escaped" }, "bad");
    tar.entry({ name: "d/there" }, "bad");
    tar.finalize();
    const warnings: string[] = [];
    const receiving = { root: "d", destination, warn: (message: string) => void warnings.push(message) };
    await assert.rejects(receiveTar(Readable.from(tar), receiving), { code: "ELOOP" });
    assert.deepEqual(
      [readFileSync(outside, "utf8"), readdirSync(folder).sort(), readdirSync(destination), warnings.length],
      ["mine", ["out", "outside"], ["there"], 2],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
