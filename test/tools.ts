// Real programs that tests talk to (etcd, a registry, Prometheus, kubectl), taken from Debian's packages without installing them:
// the package is downloaded and unpacked below .cache/, so no service starts and nothing of the machine changes.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = new URL("../.cache/tools/", import.meta.url).pathname;

/** Path of a program inside a Debian package, such as `debianProgram("etcd-server", "usr/bin/etcd")`. */
export async function debianProgram(packageName: string, path: string): Promise<string> {
  const folder = join(cache, packageName);
  if (!existsSync(folder)) await unpackPackage(packageName, folder);
  const program = join(folder, path);
  if (!existsSync(program)) throw new Error(`Debian's package ${packageName} has no ${path}`);
  return program;
}

// Unpacks beside the target and renames, so that a killed or a parallel test run never leaves half a package.
async function unpackPackage(packageName: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, "new-"));
  try {
    await downloadPackage(packageName, work);
    const file = (await readdir(work)).find((name) => name.endsWith(".deb"));
    if (file === undefined) throw new Error(`apt-get downloaded no file for ${packageName}`);
    await run("dpkg-deb", ["--extract", join(work, file), join(work, "root")]);
    await rename(join(work, "root"), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function downloadPackage(packageName: string, folder: string): Promise<void> {
  const download = () =>
    run("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", packageName], { cwd: folder });
  await download().catch(async () => {
    // A fresh machine has no package lists yet.
    await run("apt-get", ["-q", "update"]);
    await download();
  });
}
