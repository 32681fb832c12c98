// The image that test pods run: probe.c, compiled statically, as one layer; for import as an OCI archive, for a registry as it is.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeTestFolder } from "../folders.ts";
import { digestOf, gzipLayer, json, makeImage, makeTar, type TestImage } from "../registry.ts";

const source = new URL("./probe.c", import.meta.url).pathname;

/** Every word after "/probe" is the container's command. */
export async function probeImage(): Promise<TestImage> {
  const folder = makeTestFolder("probe");
  try {
    const program = join(folder, "probe");
    const compiler = existsSync("/usr/bin/musl-gcc") ? "musl-gcc" : "gcc";
    await promisify(execFile)(compiler, ["-static", "-O2", "-s", "-o", program, source]);
    const tar = await makeTar([
      { name: "probe", mode: 0o755, content: await readFile(program) },
      { name: "etc/", type: "directory", mode: 0o755 },
      { name: "tmp/", type: "directory", mode: 0o1777 },
    ]);
    return makeImage([gzipLayer(tar)], { config: { Entrypoint: ["/probe"], Cmd: ["sleep", "1000000"] } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A tar that `naru image import` takes, with one image under several names. */
export async function archiveOf(image: TestImage, names: readonly string[]): Promise<Buffer> {
  const blobs = [image.config, image.manifest, ...image.layers.map(({ blob }) => blob)];
  const manifests = names.map((name) => ({
    mediaType: image.mediaType,
    digest: digestOf(image.manifest),
    size: image.manifest.length,
    annotations: { "io.containerd.image.name": name },
  }));
  return makeTar([
    { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: "index.json", content: json({ schemaVersion: 2, manifests }) },
    ...blobs.map((blob) => ({ name: `blobs/sha256/${digestOf(blob).slice("sha256:".length)}`, content: blob })),
  ]);
}
