// The node's own devices, which a privileged container gets.
import { readdirSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "./defaults.ts";

const depthMax = 4;
const left = new Set(["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/fd", "/dev/ptmx"]);

export function hostDevices(directory = "/dev", depth = 0): readonly Device[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry): readonly Device[] => {
    const path = join(directory, entry.name);
    if (left.has(path)) return [];
    if (entry.isDirectory()) return depth < depthMax ? hostDevices(path, depth + 1) : [];
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    return [deviceOf(path, statSync(path))];
  });
}

/** Takes the number apart as gnu_dev_major and gnu_dev_minor do. */
function deviceOf(path: string, info: Stats): Device {
  const number = info.rdev;
  const type = info.isBlockDevice() ? "b" : "c";
  return {
    path,
    type,
    major: (number >>> 8) & 0xfff,
    minor: (number & 0xff) | ((number >>> 12) & 0xfff00),
    mode: info.mode & 0o777,
  };
}
