// Mounts of the node itself: memory-backed folders. Node.js has no mount(2): mount(8) does it.
import { execFile } from "node:child_process";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { promisify } from "node:util";
import { unescaped } from "./propagation.ts";

const run = promisify(execFile);
const tmpfsMagic = 0x01021994;
const pointsPerCallMax = 200;

export async function isTmpfs(path: string): Promise<boolean> {
  return (await statfs(path)).type === tmpfsMagic;
}

/** A tmpfs at `path`, made unless one is there. */
export async function mountTmpfs(
  path: string,
  options: { readonly mode: string; readonly sizeBytesMax?: number },
): Promise<void> {
  await mkdir(path, { recursive: true });
  if ((await mountPoints()).includes(path)) return;
  const size = options.sizeBytesMax === undefined ? "" : `,size=${options.sizeBytesMax}`;
  await run("mount", ["-t", "tmpfs", "-o", `nosuid,nodev,mode=${options.mode}${size}`, "naru", path]);
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
