// The C programs under gcc's address and undefined behaviour sanitizers: the launcher does real work so, and the readers of what strangers
// send are fed hostile bytes for a bounded number of rounds.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

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
const seeds = [7, 20, 1234];

/** What a fuzz driver says after its rounds, with each seed. */
function fuzz(name: string, more: readonly string[], rounds: number): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "naru-fuzz-"));
  try {
    const program = join(directory, name);
    execFileSync("gcc", [...sanitize, ...more, "-o", program, join(here, `${name}.c`)]);
    return seeds.map((seed) => {
      // A refusal jumps over what was allocated: lost memory is no fault here.
      const env = { ASAN_OPTIONS: "detect_leaks=0" };
      const { stdout, stderr } = spawnSync(program, [String(rounds), String(seed)], { encoding: "utf8", env });
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
  const said = fuzz("fuzz-unpack", [join(images, "unpack-sha256.c")], 15_000);
  assert.deepEqual(
    said,
    seeds.map(() => "15000 rounds, entries some, refusals some"),
  );
});

test("the launcher and its containers work as ever build.sh sanitized", () => {
  const tests = ["runtime.test.ts", "launcher.test.ts"].map((name) => join(here, name));
  const { status, stdout } = spawnSync(
    process.execPath,
    // What it weighs is another matter with sanitizers.
    ["--test", "--test-concurrency=1", "--test-skip-pattern=stays small", ...tests],
    {
      encoding: "utf8",
      // Not a part of this test's own run, which would tell it to report in another way.
      env: { PATH: process.env["PATH"], NARU_TEST_LAUNCHER: "sanitized" },
      timeout: 300_000,
    },
  );
  assert.equal(status, 0, stdout.slice(-4000));
});
