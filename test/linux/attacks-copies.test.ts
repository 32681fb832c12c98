// Copies into and out of running containers (docker cp) while what is copied is swapped for links, and programs of the image that a copy
// could be made to run. Needs root.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HelperError, startHelper, startPacking } from "../../node-agent/images/helper.ts";
import { readStatus } from "../../node-agent/runtime/container-directory.ts";
import { makeTar } from "../registry.ts";
import { bind, linesOf } from "./look.ts";
import { openRig, type Rig } from "./rig.ts";

const triesMax = 80;
const helper = new URL("../../node-agent/images/build/naru-unpack", import.meta.url).pathname;
execFileSync("sh", [new URL("../../node-agent/images/build.sh", import.meta.url).pathname]);

/** A container that swaps a folder of its volume for a link out of it, as fast as it can. Gives its first process. */
async function startSwapping(rig: Rig, volume: string): Promise<number> {
  await rig.runtime.create(rig.spec("swap", ["swap", "/v/sub", "/v/link"], { mounts: [bind(volume, "/v")] }));
  await rig.runtime.start("swap");
  while (!existsSync(rig.logOf("swap")) || linesOf(rig.logOf("swap")).length === 0) await sleep(10);
  return readStatus(join(rig.options.stateDir, "containers", "swap"))?.process.pid ?? 0;
}

/** "ok", or what the helper refused it with. */
async function copyIn(root: string, path: string, tar: Buffer): Promise<string> {
  const { child, done } = startHelper(["write", root, path, "0", ""]);
  child.stdin?.on("error", () => {});
  child.stdin?.end(tar);
  return done.then(
    () => "ok",
    (error: unknown) => {
      if (error instanceof HelperError) return error.message;
      throw error;
    },
  );
}

async function copyOut(root: string, path: string): Promise<string> {
  const { tar, done } = startPacking(["pack", root, path, "x"]);
  const parts: Buffer[] = [];
  tar.on("data", (part: Buffer) => parts.push(part));
  await done.catch((error: unknown) => assert(error instanceof HelperError));
  return Buffer.concat(parts).toString("latin1");
}

for (const [kind, target] of [
  ["the host's path", (outside: string) => outside],
  ["a path that goes up", (outside: string) => `${"../".repeat(40)}${outside.slice(1)}`],
  ["the first process's root", (outside: string) => `/proc/1/root${outside}`],
] as const)
  test(`a folder that is swapped for a link to ${kind} leads nowhere (CVE-2018-15664) write, pack`, async () => {
    await using rig = await openRig();
    const [volume, outside] = [join(rig.directory, "volume"), join(rig.directory, "outside")];
    for (const path of [volume, outside, join(volume, "sub")]) mkdirSync(path);
    writeFileSync(join(outside, "deep"), "outside's secret");
    writeFileSync(join(volume, "sub", "deep"), "inside");
    symlinkSync(target(outside), join(volume, "link"));
    const pid = await startSwapping(rig, volume);
    const tar = await makeTar([
      { name: "planted", content: "planted" },
      { name: "deep", content: "changed" },
    ]);
    const said = new Set<string>();
    // The container's own view, and a volume of it seen from the host.
    for (let i = 0; i < triesMax; i++) {
      const [root, path] = i % 2 === 0 ? [`process:${pid}`, "v/sub"] : [`dir:${volume}`, "sub"];
      said.add(await copyIn(root, path, tar));
      const out = await copyOut(root, `${path}/deep`);
      assert.equal(out.includes("secret"), false);
    }
    assert.deepEqual(
      [readdirSync(outside), readFileSync(join(outside, "deep"), "utf8"), said.has("ok"), said.size > 1],
      [["deep"], "outside's secret", true, true],
      [...said].join(),
    );
  });

test("what copies has no part that an image could give it (CVE-2019-14271) naru-unpack", () => {
  // Libraries and an interpreter are what a program's headers of these types ask for.
  const elf = readFileSync(helper);
  const [at, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  const types = Array.from({ length: count }, (_, i) => elf.readUInt32LE(at + i * size));
  const [dynamic, interpreter] = [2, 3];
  assert.deepEqual([types.length > 0, types.includes(dynamic), types.includes(interpreter)], [true, false, false]);
});
