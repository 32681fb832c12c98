// A volume that comes to another group. Needs root.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestFolder } from "../../test/folders.ts";
import { giveToGroup } from "./ownership.ts";

const shown = (path: string) => {
  const { mode, gid } = lstatSync(path);
  return [(mode & 0o7777).toString(8), gid];
};

test("giveToGroup gives all that is there, and no more where a link leads", {
  skip: process.getuid?.() !== 0,
}, async () => {
  const dir = makeTestFolder("ownership");
  try {
    const [volume, outside] = [join(dir, "volume"), join(dir, "outside")];
    mkdirSync(join(volume, "deep"), { recursive: true, mode: 0o700 });
    writeFileSync(join(volume, "deep/file"), "", { mode: 0o600 });
    writeFileSync(outside, "", { mode: 0o600 });
    symlinkSync(outside, join(volume, "link"));
    await giveToGroup(volume, 4321, undefined);
    const given = ["", "deep", "deep/file"].map((name) => shown(join(volume, name)));
    chmodSync(join(volume, "deep/file"), 0o600);
    await giveToGroup(volume, 4321, "OnRootMismatch");
    const left = shown(join(volume, "deep/file"));
    await giveToGroup(volume, 4321, "Always");
    assert.deepEqual(
      [given, left, shown(join(volume, "deep/file")), statSync(outside).gid, shown(outside)[0]],
      [
        [
          ["2770", 4321],
          ["2770", 4321],
          ["660", 4321],
        ],
        ["600", 4321],
        ["660", 4321],
        0,
        "600",
      ],
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("giveToGroup goes no deeper than a path can, since each folder on the way is open", {
  skip: process.getuid?.() !== 0,
}, async () => {
  const dir = makeTestFolder("ownership");
  const [volume, part] = [join(dir, "volume"), join(dir, "part")];
  const [deep, more] = [Array(1900).fill("d").join("/"), Array(200).fill("d").join("/")];
  try {
    mkdirSync(join(volume, deep), { recursive: true });
    mkdirSync(join(part, more), { recursive: true });
    renameSync(part, join(volume, deep, "part"));
    await assert.rejects(giveToGroup(volume, 4321, undefined), {
      message: `${volume} has folders deeper than 2048: fsGroup cannot be set on it`,
    });
  } finally {
    // Node's own has no name for what is so deep.
    execFileSync("rm", ["-rf", dir]);
  }
});
