// Mounts of the node itself: folders in memory, images. Node.js has no mount(2): mount(8) does it.
import { execFile } from "node:child_process";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { promisify } from "node:util";
import type { Mount } from "../runtime/runtime.ts";
import { unescaped } from "./propagation.ts";

const run = promisify(execFile);
const tmpfsMagic = 0x01021994;
const pointsPerCallMax = 200;

export async function isTmpfs(path: string): Promise<boolean> {
  return (await statfs(path)).type === tmpfsMagic;
}

/** A file system of its own at `path`, made unless one is there. */
export async function mountFileSystem(
  type: "tmpfs" | "hugetlbfs",
  path: string,
  options: Readonly<Record<string, string>>,
): Promise<void> {
  const words = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  await mountUnlessThere(path, ["-t", type, "-o", ["nosuid", "nodev", ...words].join(","), "naru", path]);
}

/** An image's files at `path`, which nobody can change. */
export async function mountImage(image: Mount, path: string): Promise<void> {
  const options = [...image.options, "ro", "nosuid", "nodev", "noexec"].join(",");
  await mountUnlessThere(path, ["-t", image.type, "-o", options, image.source, path]);
}

async function mountUnlessThere(path: string, words: readonly string[]): Promise<void> {
  await mkdir(path, { recursive: true });
  if (!(await mountPoints()).includes(path)) await run("mount", words);
}

/** Unmounts everything at or below `path`, innermost first. */
export async function unmountBelow(path: string): Promise<void> {
  const points = (await mountPoints()).filter((point) => point === path || point.startsWith(`${path}/`));
  for (const part of batches(points.toReversed())) await run("umount", ["-l", ...part]);
}

function* batches(points: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < points.length; at += pointsPerCallMax) yield points.slice(at, at + pointsPerCallMax);
}

// In the order of their making, as the kernel lists them; octal escapes stand for blanks.
async function mountPoints(): Promise<readonly string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  return text.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point === undefined ? [] : [unescaped(point)];
  });
}
