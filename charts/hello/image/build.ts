// Makes the hello image out of this folder alone: an OCI layout in a tar, the same bytes for the same program.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { type Header, pack } from "tar-stream";

const folder = new URL("./", import.meta.url).pathname;

/** What the versions say; the second is there to be rolled out. */
const salutes: Readonly<Record<string, string>> = { "1": "Hello", "2": "Good day" };

interface Blob {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/**
 * The archive for `Images.import` and `naru image import`, with naru.local/hello:1 and naru.local/hello:2 in it. Compiles the
 * program when that has not been done; the one layer is shared.
 */
export async function buildHelloImage(): Promise<Buffer> {
  await promisify(execFile)(`${folder}build.sh`);
  const program = await readFile(`${folder}build/hello`);
  const tar = await makeTar([
    { name: "etc/", type: "directory", mode: 0o755 },
    { name: "etc/passwd", content: "root:x:0:0:root:/:/sbin/nologin\nhello:x:1000:1000:hello:/:/sbin/nologin\n" },
    { name: "etc/group", content: "root:x:0:\nhello:x:1000:\n" },
    { name: "hello", mode: 0o755, content: program },
    { name: "tmp/", type: "directory", mode: 0o1777 },
  ]);
  const layer: Blob = { mediaType: "application/vnd.oci.image.layer.v1.tar", bytes: tar };
  const versions = Object.entries(salutes).map(([version, salute]) => makeVersion(version, { salute, layer }));
  const index = json("application/vnd.oci.image.index.v1+json", {
    schemaVersion: 2,
    manifests: versions.map(({ manifest, name }) => ({
      ...describe(manifest),
      platform: { os: "linux", architecture: architecture() },
      annotations: { "io.containerd.image.name": name },
    })),
  });
  const blobs = new Map(
    [layer, ...versions.flatMap(({ manifest, config }) => [config, manifest])].map((blob) => [
      digestOf(blob.bytes),
      blob,
    ]),
  );
  return await makeTar([
    { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: "index.json", content: index.bytes },
    ...[...blobs].map(([digest, { bytes }]) => ({
      name: `blobs/sha256/${digest.slice("sha256:".length)}`,
      content: bytes,
    })),
  ]);
}

function makeVersion(version: string, { salute, layer }: { readonly salute: string; readonly layer: Blob }) {
  const config = json("application/vnd.oci.image.config.v1+json", {
    architecture: architecture(),
    os: "linux",
    config: {
      Entrypoint: ["/hello"],
      Env: [`SALUTE=${salute}`],
      User: "hello",
      WorkingDir: "/",
      ExposedPorts: { "8080/tcp": {} },
      StopSignal: "SIGTERM",
      Labels: { "org.opencontainers.image.title": "hello", "org.opencontainers.image.version": version },
    },
    rootfs: { type: "layers", diff_ids: [digestOf(layer.bytes)] },
  });
  const manifest = json("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: describe(config),
    layers: [describe(layer)],
  });
  return { config, manifest, name: `naru.local/hello:${version}` };
}

async function makeTar(
  entries: readonly (Partial<Header> & { readonly name: string; readonly content?: string | Buffer })[],
): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) tar.entry({ mtime: new Date(0), ...header }, content ?? "");
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function json(mediaType: string, value: unknown): Blob {
  return { mediaType, bytes: Buffer.from(JSON.stringify(value)) };
}

function describe({ mediaType, bytes }: Blob) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** In Go's words. */
function architecture(): string {
  return process.arch === "x64" ? "amd64" : process.arch;
}
