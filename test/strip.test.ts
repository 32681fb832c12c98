// Sources without their types: kept by setup/strip.sh, brought by setup/load-stripped.mjs, true at any time.
import { deepEqual, equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeTestFolder } from "./folders.ts";

const root = new URL("..", import.meta.url).pathname;
const folder = makeTestFolder("strip");
after(() => rmSync(folder, { recursive: true }));
cpSync(join(root, "setup"), join(folder, "setup"), { recursive: true });
symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
for (const room of [
  "api",
  "cli",
  "client",
  "compose",
  "controllers",
  "lib",
  "node-agent",
  "proto",
  "scheduler",
  "server",
])
  mkdirSync(join(folder, room));
const source = join(folder, "lib/number.ts");
const kept = join(folder, ".cache/stripped");
const strip = () => equal(spawnSync("sh", ["setup/strip.sh"], { cwd: folder }).status, 0);

interface Loaded {
  readonly value: number;
  /** In the process itself, with the WebAssembly module for it. */
  readonly strips: boolean;
}

function load(): Loaded {
  const script = `const { value } = await import("./lib/number.ts");
    console.log(JSON.stringify({ value, strips: process.moduleLoadList.some((name) => name.includes("amaro")) }));`;
  const args = ["--import=./setup/load-stripped.mjs", "--input-type=module", "--eval", script];
  return JSON.parse(spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" }).stdout) as Loaded;
}

test("load-stripped takes what strip.sh has put there, and strips what changed since", () => {
  writeFileSync(source, "export const value: number = 1;\n");
  const loaded = [load()];
  strip();
  loaded.push(load());
  writeFileSync(source, "export const value: number = 2;\n");
  // As a copy that keeps times: it looks older than what was made from the source before.
  utimesSync(source, 0, 0);
  loaded.push(load());
  strip();
  loaded.push(load());
  deepEqual(loaded, [
    { value: 1, strips: true },
    { value: 1, strips: false },
    { value: 2, strips: true },
    { value: 2, strips: false },
  ]);
});

test("strip.sh does nothing when nothing changed, and keeps nothing of a source that is gone", () => {
  strip();
  const before = statSync(kept).ino;
  strip();
  const again = statSync(kept).ino;
  renameSync(source, join(folder, "lib/other.ts"));
  strip();
  deepEqual(
    [again === before, existsSync(join(kept, "lib/number.ts")), existsSync(join(kept, "lib/other.ts"))],
    [true, false, true],
  );
});
