// Known ways out of a container through volumes and mounts, tried by hostile containers, volumes and images. Needs root.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LaunchError, type Mount } from "../../node-agent/runtime/runtime.ts";
import { giveToGroup } from "../../node-agent/volumes/ownership.ts";
import { bytesBelow } from "../../node-agent/volumes/usage.ts";
import { bind, linesOf, look, refusal } from "./look.ts";
import { openRig, type Rig } from "./rig.ts";

const triesMax = 120;

interface Field {
  /** Shared by attacker and victim. */
  readonly volume: string;
  /** Of the host: nothing of it may be seen or changed from inside. */
  readonly outside: string;
}

function openField(rig: Rig): Field {
  const [volume, outside] = [join(rig.directory, "volume"), join(rig.directory, "outside")];
  for (const path of [volume, outside]) mkdirSync(path);
  writeFileSync(join(outside, "secret"), "");
  mkdirSync(join(outside, "deep"));
  writeFileSync(join(outside, "deep/secret"), "");
  return { volume, outside };
}

/** A container that swaps two names of the volume as fast as it can. */
async function startSwapping(rig: Rig, volume: string, one: string, other: string): Promise<void> {
  const mounts = [bind(volume, "/v")];
  const id = `swap-${one}`;
  await rig.runtime.create(rig.spec(id, ["swap", `/v/${one}`, `/v/${other}`], { mounts }));
  await rig.runtime.start(id);
  while (!existsSync(rig.logOf(id)) || linesOf(rig.logOf(id)).length === 0) await sleep(10);
}

/** What a victim saw, or that it was refused. */
async function attempt(rig: Rig, words: readonly string[], mounts: readonly Mount[]): Promise<readonly string[]> {
  try {
    return await look(rig, words, { mounts });
  } catch (error) {
    if (error instanceof LaunchError) return [`refused: ${error.message}`];
    throw error;
  }
}

test("a subPath that is swapped for a link leads nowhere (CVE-2017-1002101, CVE-2021-25741) bind", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  mkdirSync(join(volume, "sub/deep"), { recursive: true });
  symlinkSync(outside, join(volume, "link"));
  await startSwapping(rig, volume, "sub", "link");
  const seen = new Set<string>();
  for (let i = 0; i < triesMax; i++) {
    const subPath = i % 2 === 0 ? "sub" : "sub/deep";
    for (const line of await attempt(rig, ["list", "/s"], [bind(volume, "/s", { subPath })]))
      seen.add(line.replace(/(refused: open \S+) below .*/, "$1"));
  }
  const harmless = ["list /s:", "list /s: deep", "refused: open sub", "refused: open sub/deep"];
  assert.deepEqual(
    [...seen].filter((line) => !harmless.includes(line)),
    [],
  );
  assert.ok(seen.size > 1, `both the folder and the link were met: ${[...seen].join()}`);
});

test("a folder that is made for a subPath is made inside, whatever is swapped meanwhile bind", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  mkdirSync(join(volume, "sub"));
  symlinkSync(outside, join(volume, "link"));
  await startSwapping(rig, volume, "sub", "link");
  for (let i = 0; i < triesMax; i++)
    await attempt(rig, ["write", "/s/x"], [bind(volume, "/s", { subPath: `sub/made-${i}` })]);
  assert.deepEqual(readdirSync(outside).toSorted(), ["deep", "secret"]);
});

test("a mount point that is swapped for a link stays inside (CVE-2021-30465) bind", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  const other = join(rig.directory, "other");
  mkdirSync(other);
  mkdirSync(join(volume, "x/deep"), { recursive: true });
  symlinkSync(`${"../".repeat(30)}${outside.slice(1)}`, join(volume, "link"));
  await startSwapping(rig, volume, "x", "link");
  for (let i = 0; i < triesMax; i++) {
    const mounts = [bind(volume, "/v"), bind(other, "/v/x/deep")];
    const seen = await attempt(rig, ["read", "/proc/self/mountinfo"], mounts);
    // Had it been mounted outside of the root, the container would not have it.
    const here = seen.filter((line) => line.includes(`${other} `));
    assert.equal(here.length === 1 || seen[0]?.startsWith("refused"), true, seen.join("\n"));
  }
  assert.deepEqual(readdirSync(join(outside, "deep")), ["secret"]);
});

test("mount points that lead out of an image stay inside (CVE-2022-23648) bind", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  writeFileSync(join(volume, "mine"), "");
  symlinkSync(outside, join(rig.directory, "image/absolute"));
  symlinkSync(`${"../".repeat(30)}${outside.slice(1)}`, join(rig.directory, "image/relative"));
  const up = `/${"../".repeat(30)}${outside.slice(1)}`;
  for (const destination of ["/absolute", "/relative", "/absolute/made", up]) {
    const seen = await look(rig, ["list", destination], { mounts: [bind(volume, destination)] });
    assert.deepEqual(seen, [`list ${destination}: mine`]);
  }
  assert.deepEqual(readdirSync(outside).toSorted(), ["deep", "secret"]);
});

test("links of an image that is a volume lead nowhere bind", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  symlinkSync(outside, join(volume, "absolute"));
  symlinkSync("../outside", join(volume, "relative"));
  symlinkSync("/proc/self/root", join(volume, "magic"));
  const seen = await look(rig, ["list", "/v/absolute", "list", "/v/relative"], { mounts: [bind(volume, "/v")] });
  const refused: boolean[] = [];
  for (const subPath of ["absolute", "relative/deep", "magic", "magic/etc"])
    refused.push((await refusal(rig, { mounts: [bind(volume, "/s", { subPath })] })).message.includes("leads out of"));
  assert.deepEqual(
    [seen, refused],
    [
      ["list /v/absolute: No such file or directory", "list /v/relative: No such file or directory"],
      [true, true, true, true],
    ],
  );
});

test("a volume in place of /dev cannot put a terminal over the kernel's files (CVE-2025-52565) terminal", async () => {
  await using rig = await openRig();
  const { volume } = openField(rig);
  symlinkSync("/proc/sysrq-trigger", join(volume, "console"));
  const pts = { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] };
  const { message } = await refusal(rig, { mounts: [bind(volume, "/dev"), pts], terminal: true });
  assert.match(message, /^make \/dev\/console: too many symbolic links/);
});

test("masks are as ever, whatever containers that share a volume as /dev swap meanwhile (CVE-2025-31133) mask, terminal", async () => {
  await using rig = await openRig();
  const { volume } = openField(rig);
  for (const name of ["null", "console"]) {
    writeFileSync(join(volume, name), "");
    symlinkSync(
      name === "null" ? "/proc/sys/kernel/core_pattern" : "/proc/sysrq-trigger",
      join(volume, `${name}-link`),
    );
  }
  await startSwapping(rig, volume, "null", "null-link");
  await startSwapping(rig, volume, "console", "console-link");
  const mounts = [
    bind(volume, "/dev"),
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] },
  ];
  // Mount points of the kernel's own places, what is mounted there, and how.
  const places = (lines: readonly string[]) =>
    lines
      .map((line) =>
        line
          .replace("\r", "")
          .replace(/^read [^:]*: /, "")
          .split(" "),
      )
      .flatMap(([, , , from = "", to = "", options = ""]) =>
        /^\/(?:proc|sys)\b/.test(to) ? [`${from} at ${to} ${options.slice(0, 2)}`] : [],
      )
      .toSorted()
      .join("\n");
  const usual = places(await look(rig, ["read", "/proc/self/mountinfo"]));
  const seen = new Set<string>();
  for (let i = 0; i < triesMax; i++) {
    const more = { mounts, terminal: i % 2 === 0 };
    const lines = await look(rig, ["read", "/proc/self/mountinfo"], more).catch((error: unknown) => {
      if (error instanceof LaunchError) return [`refused: ${error.message}`];
      throw error;
    });
    seen.add(lines[0]?.startsWith("refused") === true ? (lines[0] ?? "") : places(lines));
  }
  const refused = "refused: make /dev/console: too many symbolic links encountered";
  assert.deepEqual([...seen].toSorted(), [usual, refused].toSorted());
});

test("measuring a volume follows no link out of it, whatever is swapped meanwhile bytesBelow", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  writeFileSync(join(outside, "deep/big"), Buffer.alloc(8 << 20, 1));
  mkdirSync(join(volume, "sub/deep"), { recursive: true });
  symlinkSync(outside, join(volume, "link"));
  await startSwapping(rig, volume, "sub", "link");
  let most = 0;
  for (let i = 0; i < triesMax * 5; i++) most = Math.max(most, await bytesBelow(volume, 2 ** 40));
  assert.ok(most < 1 << 20, `${most} bytes`);
});

test("giving a volume to a group changes nothing outside of it, whatever is swapped meanwhile giveToGroup", async () => {
  await using rig = await openRig();
  const { volume, outside } = openField(rig);
  mkdirSync(join(volume, "sub/deep"), { recursive: true });
  writeFileSync(join(volume, "sub/deep/secret"), "");
  symlinkSync(outside, join(volume, "link"));
  symlinkSync(join(outside, "secret"), join(volume, "still"));
  const places = ["", "secret", "deep", "deep/secret"].map((name) => join(outside, name));
  const look = () => places.map((path) => [statSync(path).gid, statSync(path).mode]);
  const before = look();
  await startSwapping(rig, volume, "sub", "link");
  let given = 0;
  for (let gid = 5000; gid < 5000 + triesMax * 2; gid++) {
    await giveToGroup(volume, gid, "Always");
    if (statSync(volume).gid === gid) given++;
  }
  assert.deepEqual([look(), given], [before, triesMax * 2]);
});
