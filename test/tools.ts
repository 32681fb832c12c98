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
  if (!existsSync(folder)) await unpackInto(folder, (work) => downloadPackage(packageName, work));
  const program = join(folder, path);
  if (!existsSync(program)) throw new Error(`Debian's package ${packageName} has no ${path}`);
  return program;
}

/** Where a tree of packages lies, if it was ever asked for. */
export function treeFolder(name: string): string {
  return join(cache, `with-${name}`);
}

/** Folder where these packages lie unpacked over one another, with all that they depend on and this machine lacks. */
export async function debianTree(name: string, packageNames: readonly string[]): Promise<string> {
  const folder = treeFolder(name);
  if (!existsSync(folder)) await unpackInto(folder, (work) => downloadWithDependencies(packageNames, work));
  return folder;
}

/** Folder with a package of npm's and all that it needs: for a program that only a test is interested in. */
export async function npmTree(packageName: string, version: string): Promise<string> {
  const folder = join(cache, `npm-${packageName}-${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, "new-"));
  try {
    const words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", work];
    await run("npm", [...words, `${packageName}@${version}`], { cwd: work });
    await rename(work, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

// Unpacks beside the target and renames, so that a killed or a parallel test run never leaves half a package.
async function unpackInto(folder: string, download: (folder: string) => Promise<void>): Promise<void> {
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, "new-"));
  try {
    await download(work);
    const files = (await readdir(work)).filter((name) => name.endsWith(".deb"));
    if (files.length === 0) throw new Error(`apt-get downloaded no package for ${folder}`);
    for (const file of files) await run("dpkg-deb", ["--extract", join(work, file), join(work, "root")]);
    await rename(join(work, "root"), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function downloadPackage(packageName: string, folder: string): Promise<void> {
  await aptGet(["download", packageName], folder);
}

async function downloadWithDependencies(packageNames: readonly string[], folder: string): Promise<void> {
  await mkdir(join(folder, "partial"));
  const options = ["-y", "--download-only", "--no-install-recommends", "-o", `Dir::Cache::archives=${folder}`];
  await aptGet(["install", ...options, ...packageNames], folder);
}

async function aptGet(args: readonly string[], cwd: string): Promise<void> {
  const retries = ["-o", "Acquire::Retries=3"];
  const download = () => run("apt-get", ["-q", ...retries, "-o", "APT::Sandbox::User=root", ...args], { cwd });
  await download().catch(async () => {
    // A fresh machine has no package lists yet.
    await run("apt-get", ["-q", ...retries, "update"]);
    await download();
  });
}
