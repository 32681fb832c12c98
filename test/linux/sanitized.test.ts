// The C programs under gcc's address and undefined behaviour sanitizers: the launcher does real work so, and the readers of what strangers
// send are fed hostile bytes for a bounded number of rounds.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { debianProgram } from "../tools.ts";

const here = new URL(".", import.meta.url).pathname;
const launcher = new URL("../../node-agent/launcher/", import.meta.url).pathname;
const images = new URL("../../node-agent/images/", import.meta.url).pathname;
const sanitize = [
  "-std=gnu11",
  "-O1",
  "-g",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
];
const xzProgram = await debianProgram("xz-utils", "usr/bin/xz");
const bzip2Program = await debianProgram("bzip2", "bin/bzip2");
const unpacker = join(images, "build/naru-unpack-sanitized");
const seeds = [7, 20, 1234];
const decompressors = [
  ...["sha256", "input", "decode", "crc32", "gunzip", "zstd", "xz", "bunzip"].map((name) =>
    join(images, `unpack-${name}.c`),
  ),
  ...["-lzstd", "-llzma", "-lbz2"],
];

/** What a fuzz driver says after its rounds, with each seed. `files` gives what it is told to read, in a folder of its own. */
function fuzz(
  name: string,
  more: readonly string[],
  rounds: number,
  files: (directory: string) => readonly string[] = () => [],
): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "naru-fuzz-"));
  try {
    const program = join(directory, name);
    execFileSync("gcc", [...sanitize, ...more, "-o", program, join(here, `${name}.c`)]);
    const named = files(directory);
    return seeds.map((seed) => {
      // A refusal jumps over what was allocated: lost memory is no fault here.
      const env = { ASAN_OPTIONS: "detect_leaks=0" };
      const { stdout, stderr } = spawnSync(program, [String(rounds), String(seed), ...named], {
        encoding: "utf8",
        env,
      });
      return (stdout + stderr).trim();
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("hostile frames, words and output do no harm to the launcher's readers read_fields, mount_words, log_write", () => {
  const sources = readdirSync(launcher).filter((name) => name.endsWith(".c") && name !== "main.c");
  const more = ["-D_GNU_SOURCE", ...sources.map((name) => join(launcher, name))];
  assert.deepEqual(
    fuzz("fuzz-launcher", more, 50_000),
    seeds.map(() => "50000 rounds"),
  );
});

test("hostile tars do no harm to naru-unpack's reader unpack_tar", () => {
  const said = fuzz("fuzz-unpack", decompressors, 15_000);
  assert.deepEqual(
    said,
    seeds.map(() => "15000 rounds, entries some, refusals some"),
  );
});

test("changed archives do no harm to naru-unpack's decompressors next_piece", () => {
  const said = fuzz("fuzz-decode", decompressors, 6_000, writeArchives);
  assert.deepEqual(
    said,
    seeds.map(() => "6000 rounds, taken some, refused some"),
  );
});

test("images, layers and archives work as ever naru-unpack's build.sh sanitized", () => {
  execFileSync("sh", [join(images, "build.sh"), "sanitized"]);
  const tests = readdirSync(images).filter((name) => name.endsWith(".test.ts"));
  passes(["--test-isolation=none", ...tests.map((name) => join(images, name))], { NARU_UNPACK: unpacker });
});

test("a build works as ever naru-unpack's build.sh sanitized", () => {
  execFileSync("sh", [join(images, "build.sh"), "sanitized"]);
  passes([join(here, "build.test.ts")], { NARU_UNPACK: unpacker });
});

test("the launcher and its containers work as ever build.sh sanitized", () => {
  const tests = ["runtime.test.ts", "launcher.test.ts"].map((name) => join(here, name));
  // What it weighs is another matter with sanitizers.
  passes(["--test-concurrency=1", "--test-skip-pattern=stays small", ...tests], { NARU_TEST_LAUNCHER: "sanitized" });
});

test("naru-oci's containers work as ever build.sh sanitized", () => {
  execFileSync("sh", [join(launcher, "build.sh"), "sanitized"]);
  const tests = ["oci.test.ts", "oci-users.test.ts"].map((name) => join(here, name));
  passes(["--test-concurrency=1", ...tests], { NARU_LAUNCHER: join(launcher, "build/naru-launcher-sanitized") });
});

/** The same tests, with other programs. Not a part of this test's own run, which would tell them to report in another way. */
function passes(args: readonly string[], programs: Readonly<Record<string, string>>): void {
  const { status, stdout } = spawnSync(process.execPath, ["--test", ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...programs },
    timeout: 300_000,
  });
  assert.equal(status, 0, stdout.slice(-4000));
}

/** Text in every form that is unpacked. */
function writeArchives(directory: string): readonly string[] {
  const text = Buffer.from(
    Array.from({ length: 4_000 }, (_, i) => `${i ** 3 % 9_973} bottles of ${(i * 7) % 31}\n`).join(""),
  );
  const xz = (...args: readonly string[]) => execFileSync(xzProgram, [...args, "--stdout"], { input: text });
  const skippable = Buffer.from("502a4d18040000006e617275", "hex");
  const archives: Readonly<Record<string, Buffer>> = {
    "a.gz": gzipSync(text),
    "b.gz": gzipSync(text, { strategy: constants.Z_FIXED }),
    "c.gz": Buffer.concat([gzipSync(text.subarray(0, 40_000), { level: 0 }), gzipSync(text)]),
    "d.xz": xz("-1", "--block-size=20000"),
    "e.zst": zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    "f.zst": Buffer.concat([skippable, zstdCompressSync(text.subarray(0, 40_000)), skippable, zstdCompressSync(text)]),
    "g.bz2": execFileSync(bzip2Program, ["-1"], { input: text }),
    "h.bz2": execFileSync(bzip2Program, [], { input: text.subarray(0, 3_000) }),
  };
  for (const [name, bytes] of Object.entries(archives)) writeFileSync(join(directory, name), bytes);
  return Object.keys(archives).map((name) => join(directory, name));
}
