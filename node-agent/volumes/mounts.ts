// Mounts of the node itself: folders in memory, images. Node.js has no mount(2): mount(8) does it.
import { execFile } from "node:child_process";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { promisify } from "node:util";
import type { Mount } from "../runtime/runtime.ts";
import { escaped, unescaped } from "./propagation.ts";

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

/** What mount(8) makes of these words; rejects with its own. */
export async function mountDevice(
  path: string,
  { type, options, device }: { readonly type: string; readonly options: string; readonly device: string },
): Promise<void> {
  const words = ["-t", type, ...(options === "" ? [] : ["-o", options]), "--", device, path];
  try {
    await mountUnlessThere(path, words);
  } catch (error) {
    const { stderr, message } = error as { readonly stderr?: string; readonly message: string };
    throw new Error(stderr?.trim() || message, { cause: error });
  }
}

/** An image's files at `path`, which nobody can change. */
export async function mountImage(image: Mount, path: string): Promise<void> {
  const options = [...image.options, "ro", "nosuid", "nodev", "noexec"].join(",");
  await mountUnlessThere(path, ["-t", image.type, "-o", options, image.source, path]);
}

async function mountUnlessThere(path: string, words: readonly string[]): Promise<void> {
  await mkdir(path, { recursive: true });
  if (!(await pointsBelow([path])).includes(path)) await run("mount", words);
}

/** Unmounts everything at or below these paths, innermost first. */
export async function unmountBelow(...paths: readonly string[]): Promise<void> {
  for (const part of batches((await pointsBelow(paths)).toReversed())) await run("umount", ["-l", ...part]);
}

function* batches(points: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < points.length; at += pointsPerCallMax) yield points.slice(at, at + pointsPerCallMax);
}

// In the order of their making, as the kernel lists them; octal escapes stand for blanks.
async function pointsBelow(paths: readonly string[]): Promise<readonly string[]> {
  const text = await mountinfo();
  // Most often there are none, on a node that has thousands of mounts.
  if (!paths.some((path) => text.includes(` ${escaped(path)}`))) return [];
  const points = text.split("\n").map((line) => unescaped(line.split(" ")[4] ?? ""));
  return points.filter((point) => paths.some((path) => point === path || point.startsWith(`${path}/`)));
}

let reading: Promise<unknown> = Promise.resolve();
let next: Promise<string> | undefined;

// Who asks while it is read waits for the next reading, together with all others: removing pods costs few of them.
function mountinfo(): Promise<string> {
  next ??= reading.then(() => {
    next = undefined;
    const text = readFile("/proc/self/mountinfo", "utf8");
    reading = text.catch(() => {});
    return text;
  });
  return next;
}
