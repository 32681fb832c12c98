// hostPath volumes: a path of the node itself, checked to be what the pod expects.

import type { Stats } from "node:fs";
import { mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { VolumeError, type VolumeType } from "./volume-type.ts";

export const hostPathVolume: VolumeType = {
  field: "hostPath",
  setUp: async ({ volume }) => {
    const { path = "", type = "" } = volume.hostPath ?? {};
    if (!path.startsWith("/") || path.split("/").includes("..")) {
      throw new VolumeError(`hostPath ${JSON.stringify(path)} must be an absolute path without ".."`);
    }
    await check(path, type);
    return { path, readOnly: false };
  },
};

const tests: Readonly<Record<string, { readonly is: (stats: Stats) => boolean; readonly name: string }>> = {
  Directory: { is: (stats) => stats.isDirectory(), name: "a directory" },
  DirectoryOrCreate: { is: (stats) => stats.isDirectory(), name: "a directory" },
  File: { is: (stats) => stats.isFile(), name: "a file" },
  FileOrCreate: { is: (stats) => stats.isFile(), name: "a file" },
  Socket: { is: (stats) => stats.isSocket(), name: "a socket file" },
  CharDevice: { is: (stats) => stats.isCharacterDevice(), name: "a character device" },
  BlockDevice: { is: (stats) => stats.isBlockDevice(), name: "a block device" },
};

async function check(path: string, type: string): Promise<void> {
  if (type === "DirectoryOrCreate") await mkdir(path, { recursive: true, mode: 0o755 }).catch(unlessExists);
  if (type === "FileOrCreate") {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(path, "a", 0o644).catch(unlessExists))?.close();
  }
  if (type === "") {
    // As container engines do for a bind mount whose source is missing.
    if ((await stat(path).catch(() => undefined)) === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
    return;
  }
  const test = tests[type];
  if (test === undefined) throw new VolumeError(`hostPath type ${JSON.stringify(type)} is unknown`);
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) throw new VolumeError(`hostPath type check failed: ${path} does not exist`);
  if (!test.is(stats)) throw new VolumeError(`hostPath type check failed: ${path} is not ${test.name}`);
}

function unlessExists(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "EEXIST" && error.code !== "EISDIR") throw error;
  return undefined;
}
