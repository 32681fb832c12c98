// A pull: name to manifest, manifest to config, and all layers at once, each downloaded and unpacked in one pipeline.
import { commitImage, type Folder, nameImage } from "./commit.ts";
import { digestOf } from "./content.ts";
import type { ImageDoor } from "./image-door.ts";
import { type Image, PullError, type PullOptions, type PullProgress } from "./images.ts";
import type { Platform } from "./library.ts";
import {
  choosePlatform,
  configBytesMax,
  type Descriptor,
  hostPlatform,
  layerMediaType,
  type Manifest,
  type ParsedConfig,
  parseConfig,
  parseManifest,
  platformName,
} from "./manifest.ts";
import type { LayerBlob } from "./records.ts";
import { formatReference, type Reference, repositoryName } from "./reference.ts";
import type { Access, FetchedManifest, Registry } from "./registry.ts";
import { readKeys, verifySignature } from "./signatures.ts";

export interface PullContext {
  readonly folder: Folder;
  /** Mirrors first, the registry itself last. */
  registriesFor(host: string): readonly Registry[];
  /** Told of what comes, so that others may have it at once. */
  readonly door: ImageDoor;
  /** Files of the keys that one of must have signed a registry's images; none: nobody asks. */
  signatureKeys(host: string): readonly string[];
}

interface Source {
  readonly registry: Registry;
  readonly access: Access;
}

interface Resolved extends Source {
  /** What the name means: an index or a manifest. */
  readonly top: FetchedManifest;
}

const indexDepthMax = 3;

export interface PullWork {
  readonly credentials: PullOptions["credentials"];
  /** A node to ask before all registries. */
  readonly first?: Registry;
  /** A node to ask instead of them. */
  readonly only?: Registry;
  /** Of an image for several; undefined: this machine's. */
  readonly platform?: Platform | undefined;
  readonly report: (progress: PullProgress) => void;
  readonly signal: AbortSignal;
}

/** Rejects with PullError, or with the signal's reason. */
export async function pullImage(context: PullContext, reference: Reference, options: PullWork): Promise<Image> {
  const { report, signal, platform: wanted = hostPlatform() } = options;
  const name = formatReference(reference);
  const unchanged = await findUnchanged(context, reference, options);
  if (unchanged !== undefined) return unchanged;
  const { registry, access, top } = await resolve(context, reference, options);
  await checkSignature(context, reference, options, top.digest);
  const digests = [`${repositoryName(reference)}@${top.digest}`];
  const tags = reference.digest === undefined ? [name] : [];
  const { manifest, bytes: manifestBytes } = await descend(registry, access, { top, name, wanted }, signal);
  const configBytes = await readConfig(registry, access, manifest.config, signal);
  const config = checkConfig(configBytes, manifest, name, wanted);
  const small = new Map([
    [top.digest, top.bytes],
    [digestOf(manifestBytes), manifestBytes],
    [manifest.config.digest, configBytes],
  ]);
  using _announced = context.door.announce({ digest: top.digest, small, layers: manifest.layers });
  report({ type: "resolved", digest: top.digest, layers: manifest.layers.length });
  using _held = context.folder.layers.hold(config.diffIds);
  using _blobs = context.folder.content.hold();
  const repository = repositoryName(reference);
  const sources = [{ registry, access }, ...sourcesAfter(context, reference, options)];
  const fromPeer = registry === options.first || registry === options.only;
  const blobs = await pullLayers(context.folder, { sources, fromPeer, manifest, config, repository, report }, signal);
  const index = top.bytes === manifestBytes ? {} : { indexBytes: top.bytes };
  return await commitImage(context.folder, { configBytes, manifestBytes, ...index, tags, digests, blobs });
}

// A tag that is here already costs one HEAD when it has not moved.
async function findUnchanged(
  context: PullContext,
  reference: Reference,
  options: PullWork,
): Promise<Image | undefined> {
  const { records } = context.folder;
  const name = formatReference(reference);
  const known = records.current.images.find((image) => image.tags.includes(name));
  if (known === undefined || reference.digest !== undefined) return undefined;
  const digest = await attempt(context, reference, options, (registry, access) =>
    registry.resolve(access, reference.tag ?? "latest", options.signal),
  );
  const digestName = `${repositoryName(reference)}@${digest}`;
  if (digest === undefined || !known.digests.includes(digestName)) return undefined;
  if (!(await isFor(context, known.id, options.platform))) return undefined;
  await checkSignature(context, reference, options, digest);
  options.report({ type: "resolved", digest, layers: known.layers.length });
  for (const layer of known.layers) {
    const bytes = records.current.layerBytes[layer] ?? 0;
    options.report({ type: "layer", digest: layer, state: "exists", doneBytes: bytes, totalBytes: bytes });
  }
  return await nameImage(context.folder, known.id, { tags: [name], digests: [digestName] });
}

// An index names images for several platforms, one of which is here.
async function isFor({ folder }: PullContext, id: string, wanted = hostPlatform()): Promise<boolean> {
  const bytes = await folder.content.read(id);
  if (bytes === undefined) return false;
  const { os, architecture } = parseConfig(bytes, `config ${id}`).platform;
  return (os === "" || os === wanted.os) && (architecture === "" || architecture === wanted.architecture);
}

// Wherever the image comes from, its signature is asked of the registry and its mirrors: it speaks of the digest alone.
async function checkSignature(
  context: PullContext,
  reference: Reference,
  { credentials, signal }: PullWork,
  digest: string,
): Promise<void> {
  const files = context.signatureKeys(reference.registry);
  if (files.length === 0) return;
  const keys = await readKeys(files);
  const name = formatReference(reference);
  await attempt(context, reference, { credentials, signal }, (registry, access) =>
    verifySignature(registry, access, { digest, name, keys }, signal),
  );
}

async function resolve(context: PullContext, reference: Reference, options: PullWork): Promise<Resolved> {
  return await attempt(context, reference, options, async (registry, access) => ({
    registry,
    access,
    top: await registry.manifest(access, reference.digest ?? reference.tag ?? "latest", options.signal),
  }));
}

// The node that fetches for all, mirrors in order, then the registry with each of the credentials. The registry's own last word is the
// one that is told.
export async function attempt<Result>(
  context: Pick<PullContext, "registriesFor">,
  reference: Reference,
  options: Pick<PullWork, "credentials" | "first" | "only" | "signal">,
  work: (registry: Registry, access: Access) => Promise<Result>,
): Promise<Result> {
  const { repository } = reference;
  if (options.only !== undefined) return await work(options.only, { repository, credentials: undefined });
  const registries = context.registriesFor(reference.registry);
  const own = registries.at(-1);
  let failure: unknown;
  for (const registry of [...(options.first === undefined ? [] : [options.first]), ...registries]) {
    const asWhom = registry === own && options.credentials.length > 0 ? options.credentials : [undefined];
    for (const credentials of asWhom) {
      try {
        return await work(registry, { repository, credentials });
      } catch (error) {
        options.signal.throwIfAborted();
        failure = error;
        // Only another user may hear another answer.
        if (!(error instanceof PullError && error.failure === "Denied")) break;
      }
    }
  }
  throw failure;
}

// Where a layer comes from when the node that it came from so far fails.
function sourcesAfter(context: PullContext, reference: Reference, { only, credentials }: PullWork): readonly Source[] {
  const own = only === undefined ? context.registriesFor(reference.registry).at(-1) : undefined;
  return own === undefined
    ? []
    : [{ registry: own, access: { repository: reference.repository, credentials: credentials[0] } }];
}

// From an index down to the manifest for this machine.
async function descend(
  registry: Registry,
  access: Access,
  { top, name, wanted }: { readonly top: FetchedManifest; readonly name: string; readonly wanted: Platform },
  signal: AbortSignal,
): Promise<{ readonly manifest: Extract<Manifest, { type: "image" }>; readonly bytes: Buffer }> {
  let { bytes } = top;
  for (let depth = 0; depth <= indexDepthMax; depth++) {
    const manifest = parseManifest(bytes, `manifest of ${name}`);
    if (manifest.type === "image") return { manifest, bytes };
    const entry = choosePlatform(manifest.entries, wanted, name);
    ({ bytes } = await registry.manifest(access, entry.digest, signal));
  }
  throw new PullError("BadLayer", `${name} is an index within an index, more than ${indexDepthMax} deep`);
}

export async function readConfig(
  registry: Registry,
  access: Access,
  config: Descriptor,
  signal: AbortSignal,
): Promise<Buffer> {
  if (config.sizeBytes > configBytesMax)
    throw new PullError("BadLayer", `config ${config.digest} is larger than ${configBytesMax} bytes`);
  const parts: Buffer[] = [];
  for await (const part of registry.blob(access, config, { signal })) parts.push(part);
  const bytes = Buffer.concat(parts);
  if (digestOf(bytes) !== config.digest) {
    throw new PullError(
      "WrongDigest",
      `config ${config.digest} of ${registry.host}/${access.repository} has digest ${digestOf(bytes)}`,
    );
  }
  return bytes;
}

async function pullLayers(
  folder: Folder,
  pull: {
    /** In the order in which they are asked. */
    readonly sources: readonly Source[];
    /** The first of them is a node of the cluster. */
    readonly fromPeer: boolean;
    readonly manifest: Extract<Manifest, { type: "image" }>;
    readonly config: ParsedConfig;
    /** Where the image says that it comes from, mirror or not. */
    readonly repository: string;
    readonly report: (progress: PullProgress) => void;
  },
  signal: AbortSignal,
): Promise<Readonly<Record<string, LayerBlob>>> {
  // The first failure ends the others: their work would be for nothing.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const blobs: Record<string, LayerBlob> = {};
  const works = pull.manifest.layers.map(async (descriptor, i) => {
    const { digest, sizeBytes: totalBytes } = descriptor;
    const diffId = pull.config.diffIds[i] ?? "";
    const tell = (state: "exists" | "downloading" | "unpacked", doneBytes: number) =>
      pull.report({ type: "layer", digest, state, doneBytes, totalBytes });
    const isHere = folder.layers.has(diffId);
    if (isHere) tell("exists", totalBytes);
    else await pullLayer(folder, { ...pull, descriptor, diffId, tell }, either);
    const isKept = isHere
      ? folder.records.current.blobs?.[diffId]?.digest === digest
      : await folder.downloads.keep(descriptor);
    const mediaType = layerMediaType(descriptor.mediaType);
    if (isKept) blobs[diffId] = { mediaType, digest, sizeBytes: totalBytes, repositories: [pull.repository] };
  });
  const results = await Promise.allSettled(
    works.map((work) =>
      work.catch((error) => {
        if (!failed.signal.aborted) failed.abort(error);
        throw error;
      }),
    ),
  );
  signal.throwIfAborted();
  if (results.some((result) => result.status === "rejected")) throw failed.signal.reason;
  return blobs;
}

async function pullLayer(
  folder: Folder,
  pull: {
    readonly sources: readonly Source[];
    readonly fromPeer: boolean;
    readonly descriptor: Descriptor;
    readonly diffId: string;
    tell(state: "downloading" | "unpacked", doneBytes: number): void;
  },
  signal: AbortSignal,
): Promise<void> {
  const { sources, fromPeer, descriptor, diffId, tell } = pull;
  const open = (own: AbortSignal) =>
    folder.downloads.receive(descriptor, (fromByte) => readBlob(sources, descriptor, { fromByte, signal: own }));
  try {
    await folder.layers.ensure(
      { diffId, digest: descriptor.digest, fromPeer, open },
      {
        onProgress: ({ state, doneBytes }) => tell(state, state === "unpacked" ? descriptor.sizeBytes : doneBytes),
        signal,
      },
    );
  } catch (error) {
    // What came is not what it should be: the next try must not go on from there.
    if (error instanceof PullError && (error.failure === "WrongDigest" || error.failure === "BadLayer"))
      folder.downloads.drop(descriptor.digest);
    throw error;
  }
}

async function* readBlob(
  sources: readonly Source[],
  descriptor: Descriptor,
  { fromByte, signal }: { readonly fromByte: number; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void, void> {
  let failure: unknown;
  let doneBytes = fromByte;
  for (const { registry, access } of sources) {
    try {
      for await (const part of registry.blob(access, descriptor, { fromByte: doneBytes, signal })) {
        doneBytes += part.length;
        yield part;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

/** Parses a config and checks that it fits its manifest and the platform, this machine's by default. */
export function checkConfig(
  bytes: Uint8Array,
  manifest: { readonly layers: readonly unknown[] },
  name: string,
  wanted = hostPlatform(),
): ParsedConfig {
  const config = parseConfig(bytes, `config of ${name}`);
  if (config.diffIds.length !== manifest.layers.length) {
    throw new PullError(
      "BadLayer",
      `${name} has ${manifest.layers.length} layers, but its config speaks of ${config.diffIds.length}`,
    );
  }
  const { os, architecture } = config.platform;
  if ((os !== "" && os !== wanted.os) || (architecture !== "" && architecture !== wanted.architecture)) {
    throw new PullError(
      "NoMatchingPlatform",
      `${name} is made for ${platformName(config.platform)}, not for ${platformName(wanted)}`,
    );
  }
  return config;
}
