// A real registry (Debian's docker-registry) on loopback, and images for it, made by hand byte by byte.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Header, pack } from "tar-stream";
import { makeTestFolder } from "./folders.ts";
import { debianProgram } from "./tools.ts";

export interface TestRegistry extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  readonly host: string;
  /** Where it keeps its blobs. */
  readonly storage: string;
}

/** A line of a tar: what tar-stream takes, and the content. */
export interface TarEntry extends Partial<Header> {
  readonly name: string;
  readonly content?: string | Buffer;
}

export interface TestLayer {
  readonly tar: Buffer;
  readonly blob: Buffer;
  readonly mediaType: string;
}

export interface TestImage {
  readonly config: Buffer;
  readonly layers: readonly TestLayer[];
  readonly manifest: Buffer;
  readonly mediaType: string;
}

/** Starts a registry on a free port; `auth` is its configuration's auth section as YAML, `storage` stays when it ends. */
export async function startRegistry(
  options: {
    readonly auth?: string;
    readonly address?: string;
    readonly port?: number;
    readonly storage?: string;
  } = {},
): Promise<TestRegistry> {
  const program = await debianProgram("docker-registry", "usr/bin/docker-registry");
  const folder = makeTestFolder("registry");
  const storage = options.storage ?? join(folder, "storage");
  const host = `${options.address ?? "127.0.0.1"}:${options.port ?? (await freePort())}`;
  const config = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${storage}}, delete: {enabled: true}}
http: {addr: "${host}"}
${options.auth ?? ""}
`;
  await writeFile(join(folder, "config.yml"), config);
  const child = spawn(program, ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  try {
    await untilAnswers(host, child);
  } catch (error) {
    await stop(child, folder);
    throw error;
  }
  return { host, storage, [Symbol.asyncDispose]: () => stop(child, folder) };
}

export async function makeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) tar.entry({ mtime: new Date(0), ...header }, content ?? "");
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export function gzipLayer(tar: Buffer): TestLayer {
  return { tar, blob: gzipSync(tar, { level: 1 }), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
}

export function makeImage(
  layers: readonly TestLayer[],
  options: { readonly config?: object; readonly architecture?: string; readonly docker?: true } = {},
): TestImage {
  const architecture = options.architecture ?? (process.arch === "x64" ? "amd64" : process.arch);
  const config = json({
    architecture,
    os: "linux",
    config: options.config ?? {},
    rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(layer.tar)) },
  });
  const docker = options.docker === true;
  const mediaType = docker
    ? "application/vnd.docker.distribution.manifest.v2+json"
    : "application/vnd.oci.image.manifest.v1+json";
  const configType = docker
    ? "application/vnd.docker.container.image.v1+json"
    : "application/vnd.oci.image.config.v1+json";
  const manifest = json({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: configType, digest: digestOf(config), size: config.length },
    layers: layers.map(({ blob, mediaType: type }) => ({
      mediaType: docker ? "application/vnd.docker.image.rootfs.diff.tar.gzip" : type,
      digest: digestOf(blob),
      size: blob.length,
    })),
  });
  return { config, layers, manifest, mediaType };
}

/** An index over images; returns its bytes. */
export function makeIndex(
  images: readonly { readonly image: TestImage; readonly architecture: string }[],
  mediaType = "application/vnd.oci.image.index.v1+json",
): Buffer {
  return json({
    schemaVersion: 2,
    mediaType,
    manifests: images.map(({ image, architecture }) => ({
      mediaType: image.mediaType,
      digest: digestOf(image.manifest),
      size: image.manifest.length,
      platform: { os: "linux", architecture },
    })),
  });
}

export async function pushImage(
  registry: { readonly host: string },
  repository: string,
  push: { readonly image: TestImage; readonly tag: string; readonly headers?: Record<string, string> },
): Promise<void> {
  const { image, headers = {} } = push;
  const blobs = [image.config, ...image.layers.map((layer) => layer.blob)];
  for (const blob of blobs) await pushBlob(registry, repository, { blob, headers });
  await pushManifest(registry, repository, {
    bytes: image.manifest,
    mediaType: image.mediaType,
    tag: push.tag,
    headers,
  });
}

export async function pushManifest(
  { host }: { readonly host: string },
  repository: string,
  push: {
    readonly bytes: Buffer;
    readonly mediaType: string;
    readonly tag: string;
    readonly headers?: Record<string, string>;
  },
): Promise<void> {
  await expectStatus(201, `http://${host}/v2/${repository}/manifests/${push.tag}`, {
    method: "PUT",
    headers: { ...push.headers, "content-type": push.mediaType },
    body: new Uint8Array(push.bytes),
  });
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function pushBlob(
  { host }: { readonly host: string },
  repository: string,
  { blob, headers }: { readonly blob: Buffer; readonly headers: Record<string, string> },
): Promise<void> {
  const started = await expectStatus(202, `http://${host}/v2/${repository}/blobs/uploads/`, {
    method: "POST",
    headers,
  });
  const location = new URL(started.headers.get("location") ?? "", `http://${host}`);
  location.searchParams.set("digest", digestOf(blob));
  await expectStatus(201, location.href, {
    method: "PUT",
    headers: { ...headers, "content-type": "application/octet-stream" },
    body: new Uint8Array(blob),
  });
}

async function expectStatus(status: number, url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request);
  const body = await response.text();
  if (response.status !== status) throw new Error(`${request.method} ${url}: ${response.status} ${body}`);
  return response;
}

async function untilAnswers(host: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    if (
      await fetch(`http://${host}/v2/`).then(
        (response) => response.body?.cancel().then(() => true) ?? true,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("docker-registry does not answer");
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}
