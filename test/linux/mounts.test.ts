// Volumes' mounts as the kernel makes them, seen from inside a container. Needs root.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bind, linesOf, look, refusal } from "./look.ts";
import { openRig } from "./rig.ts";

test("a subPath is made when missing, and links that stay inside are followed bind", async () => {
  await using rig = await openRig();
  const volume = join(rig.directory, "volume");
  mkdirSync(join(volume, "real"), { recursive: true, mode: 0o777 });
  execFileSync("chmod", ["0777", volume]);
  writeFileSync(join(volume, "real/file"), "here\n");
  symlinkSync("real", join(volume, "link"));
  const mounts = [
    bind(volume, "/one", { subPath: "link/file" }),
    bind(volume, "/two", { subPath: "new/deep" }),
    bind(volume, "/three", { subPath: "link", options: ["rbind", "ro"] }),
  ];
  const seen = await look(rig, ["read", "/one", "stat", "/two", "write", "/two/x", "write", "/three/x"], { mounts });
  assert.deepEqual(seen, [
    "read /one: here",
    "stat /two: directory 0777 0:0",
    "write /two/x: allowed",
    "write /three/x: Read-only file system",
  ]);
  assert.equal(readFileSync(join(volume, "new/deep/x"), "utf8"), "written\n");
});

test("a subPath that leads out of its volume is refused bind", async () => {
  await using rig = await openRig();
  const volume = join(rig.directory, "volume");
  mkdirSync(join(volume, "inner"), { recursive: true });
  writeFileSync(join(rig.directory, "secret"), "");
  symlinkSync("/etc", join(volume, "absolute"));
  symlinkSync("../../secret", join(volume, "inner/up"));
  symlinkSync("/nowhere/at/all", join(volume, "dangling"));
  symlinkSync("/proc/self/root", join(volume, "magic"));
  for (const subPath of ["absolute", "absolute/passwd", "inner/up", "dangling", "dangling/x", "magic", "../secret"]) {
    const error = await refusal(rig, { mounts: [bind(volume, "/sub", { subPath })] });
    assert.deepEqual([error.message.includes("which it leads out of"), error.subPathOf], [true, "/sub"], error.message);
  }
  assert.equal(existsSync("/nowhere"), false);
});

test("rro holds for what is mounted below too, ro for the mount alone bind", async () => {
  await using rig = await openRig();
  const volume = join(rig.directory, "volume");
  mkdirSync(join(volume, "below"), { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "naru-test", join(volume, "below")]);
  try {
    const words = ["write", "/v/x", "write", "/v/below/x"];
    const one = await look(rig, words, { mounts: [bind(volume, "/v", { options: ["rbind", "ro"] })] });
    const all = await look(rig, words, { mounts: [bind(volume, "/v", { options: ["rbind", "rro"] })] });
    const no = "Read-only file system";
    assert.deepEqual(
      [one, all],
      [
        [`write /v/x: ${no}`, "write /v/below/x: allowed"],
        [`write /v/x: ${no}`, `write /v/below/x: ${no}`],
      ],
    );
  } finally {
    execFileSync("umount", [join(volume, "below")]);
  }
});

test("mounts made later pass one way as rslave, both ways as rshared, neither way otherwise hold", async () => {
  await using rig = await openRig();
  const volume = join(rig.directory, "volume");
  mkdirSync(volume);
  execFileSync("mount", ["-t", "tmpfs", "naru-test", volume]);
  try {
    execFileSync("mount", ["--make-shared", volume]);
    const device = () => statSync(volume).dev;
    const seen: Record<string, readonly boolean[]> = {};
    for (const propagation of ["rprivate", "rslave", "rshared"]) {
      const [theirs, ours] = [join(volume, `${propagation}-theirs`), join(volume, `${propagation}-ours`)];
      for (const path of [theirs, ours]) mkdirSync(path);
      const id = `share-${propagation}`;
      const [go, x] = [`/v/${propagation}-go`, `/v/${propagation}-ours/x`];
      const words = ["tmpfs", `/v/${propagation}-theirs`, "wait", go, "stat", x];
      const mounts = [bind(volume, "/v", { options: ["rbind", propagation] })];
      await rig.runtime.create(rig.spec(id, ["files", ...words], { mounts, privileged: true }));
      await rig.runtime.start(id);
      while (!existsSync(rig.logOf(id)) || linesOf(rig.logOf(id)).length === 0) await sleep(10);
      const theirsSeen = statSync(theirs).dev !== device();
      execFileSync("mount", ["-t", "tmpfs", "naru-test", ours]);
      writeFileSync(join(ours, "x"), "");
      writeFileSync(join(volume, `${propagation}-go`), "");
      await rig.runtime.wait(id);
      seen[propagation] = [theirsSeen, linesOf(rig.logOf(id))[1] !== `stat ${x}: No such file or directory`];
      await rig.runtime.remove(id);
    }
    assert.deepEqual(seen, { rprivate: [false, false], rslave: [false, true], rshared: [true, true] });
  } finally {
    execFileSync("umount", ["-l", volume]);
  }
});

test("nothing is mounted inside of /proc, not even through a link of the image plan, bind", async () => {
  await using rig = await openRig();
  mkdirSync(join(rig.directory, "volume"));
  symlinkSync("/proc", join(rig.directory, "image/data"));
  const start = async (destination: string) =>
    (await refusal(rig, { mounts: [bind(join(rig.directory, "volume"), destination)] })).message;
  assert.deepEqual(
    [await start("/proc/self"), await start("/data/sys"), await start("/data/../proc/sys")],
    [
      "mount /proc/self: nothing may be mounted inside of /proc",
      "make mount point /data/sys: operation not permitted",
      "make mount point /data/../proc/sys: operation not permitted",
    ],
  );
});

test("/proc of an image that is a link is not mounted on mount", async () => {
  await using rig = await openRig();
  symlinkSync("/etc", join(rig.directory, "image/proc"));
  assert.match((await refusal(rig, {})).message, /^make mount point \/proc: too many symbolic links/);
});
