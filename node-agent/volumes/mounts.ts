// Mounts of the node itself: memory-backed folders, and binds that keep hold of a place. Node.js has no mount(2): mount(8) does it.
import { execFile } from "node:child_process";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const tmpfsMagic = 0x01021994;

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

/** Binds what an open descriptor refers to, wherever its path leads by now, onto `target`, which must exist. */
export async function bindDescriptor(descriptorPath: string, target: string): Promise<void> {
  // Without canonicalizing, which would turn the descriptor back into a path.
  await run("mount", ["--no-canonicalize", "--bind", descriptorPath, target]);
}

/** Unmounts everything at or below `path`, innermost first. */
export async function unmountBelow(path: string): Promise<void> {
  const points = (await mountPoints()).filter((point) => point === path || point.startsWith(`${path}/`));
  for (const point of points.reverse()) await run("umount", ["-l", point]);
}

// In the order of their making, as the kernel lists them; octal escapes stand for blanks.
async function mountPoints(): Promise<readonly string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  return text.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point === undefined
      ? []
      : [point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}
