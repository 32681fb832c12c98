// A push: every layer that the registry lacks, all at once, then config and manifest, so that nobody finds a name for half an image.
import { createReadStream } from "node:fs";
import { addImage } from "./changes.ts";
import type { Folder } from "./commit.ts";
import type { Compression } from "./compress.ts";
import { PullError } from "./images.ts";
import { PushError, type PushOptions, type PushProgress } from "./library.ts";
import { type OutgoingImage, outgoingImage } from "./outgoing.ts";
import type { ImageRecord, LayerBlob } from "./records.ts";
import { parseReference, type Reference, repositoryName } from "./reference.ts";
import type { Access, Registry } from "./registry.ts";
import { Limit } from "./share.ts";
import { findUploaded, mountBlob, putManifest, uploadBlob } from "./upload.ts";

const uploadsMax = 4;

/** A name to push to; a digest names what is there already. Throws PushError. */
export function parsePushed(text: string): Reference {
  let reference: Reference;
  try {
    reference = parseReference(text);
  } catch (error) {
    throw asPushError(error);
  }
  if (reference.digest !== undefined)
    throw new PushError("InvalidImageName", `cannot push ${text}: give a name with a tag, not a digest`);
  return reference;
}

export interface PushContext {
  readonly folder: Folder;
  readonly registry: Registry;
}

/** Rejects with PushError, or with the signal's reason. */
export async function pushImage(
  context: PushContext,
  { reference, record }: { readonly reference: Reference; readonly record: ImageRecord },
  options: PushOptions,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const asWhom = options.credentials.length > 0 ? options.credentials : [undefined];
  let failure: unknown;
  for (const credentials of asWhom) {
    try {
      return await pushAs(
        context,
        { reference, record, access: { repository: reference.repository, credentials, pushes: true } },
        options,
      );
    } catch (error) {
      options.signal?.throwIfAborted();
      failure = error;
      // Only another user may hear another answer.
      if (!(error instanceof PullError && error.failure === "Denied")) break;
    }
  }
  throw asPushError(failure);
}

interface Push {
  readonly reference: Reference;
  readonly record: ImageRecord;
  readonly access: Access;
}

async function pushAs(
  context: PushContext,
  push: Push,
  options: PushOptions,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const { folder, registry } = context;
  using _held = folder.content.hold();
  const report = (progress: PushProgress) => options.onProgress?.(progress);
  const compression: Compression = options.compression ?? "gzip";
  const limit = new Limit(uploadsMax);
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  const uploads: Promise<void>[] = [];
  const onLayer = (diffId: string, blob: LayerBlob | undefined) => {
    if (blob === undefined) report({ diffId, state: "preparing", doneBytes: 0, totalBytes: 0 });
    else
      uploads.push(
        limit
          .run(() => pushLayer(context, push, { diffId, blob, report, signal }))
          .catch((error) => {
            if (!failed.signal.aborted) failed.abort(error);
          }),
      );
  };
  let outgoing: OutgoingImage | undefined;
  try {
    outgoing = await outgoingImage(folder, push.record, { compression, signal, onLayer });
  } catch (error) {
    if (!failed.signal.aborted) failed.abort(error);
  }
  await Promise.all(uploads);
  options.signal?.throwIfAborted();
  if (outgoing === undefined || failed.signal.aborted) throw failed.signal.reason;
  const { config, manifest } = outgoing;
  const configBlob = { digest: config.digest, sizeBytes: config.bytes.length };
  if (!(await findUploaded(registry, push.access, config.digest, options.signal))) {
    await uploadBlob(
      registry,
      push.access,
      { ...configBlob, read: (from) => [config.bytes.subarray(from)] },
      options.signal,
    );
  }
  await putManifest(
    registry,
    push.access,
    { ...manifest, name: push.reference.tag ?? manifest.digest },
    options.signal,
  );
  await remember(folder, push, outgoing);
  return { digest: manifest.digest, sizeBytes: manifest.bytes.length };
}

async function pushLayer(
  { folder, registry }: PushContext,
  { reference, access }: Push,
  layer: {
    readonly diffId: string;
    readonly blob: LayerBlob;
    readonly report: (progress: PushProgress) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { diffId, blob, report, signal } = layer;
  const totalBytes = blob.sizeBytes;
  signal.throwIfAborted();
  if (await findUploaded(registry, access, blob.digest, signal)) {
    report({ diffId, state: "exists", doneBytes: totalBytes, totalBytes });
    return;
  }
  const own = repositoryName(reference);
  for (const known of blob.repositories) {
    if (known === own || !known.startsWith(`${reference.registry}/`)) continue;
    const from = known.slice(reference.registry.length + 1);
    if (!(await mountBlob(registry, access, { digest: blob.digest, from }, signal))) continue;
    report({ diffId, state: "mounted", from, doneBytes: totalBytes, totalBytes });
    return;
  }
  const read = async function* (fromByte: number) {
    let doneBytes = fromByte;
    for await (const part of createReadStream(folder.content.path(blob.digest), {
      start: fromByte,
      highWaterMark: 262_144,
    })) {
      yield part as Buffer;
      doneBytes += (part as Buffer).length;
      report({ diffId, state: "uploading", doneBytes, totalBytes });
    }
  };
  report({ diffId, state: "uploading", doneBytes: 0, totalBytes });
  await uploadBlob(registry, access, { digest: blob.digest, sizeBytes: totalBytes, read }, signal);
  report({ diffId, state: "pushed", doneBytes: totalBytes, totalBytes });
}

// The registry's repository has all of it now: other pushes can mount from there, and the name with its digest is known.
async function remember(folder: Folder, { reference, record }: Push, outgoing: OutgoingImage): Promise<void> {
  const repository = repositoryName(reference);
  const manifestDigest = await folder.content.write(outgoing.manifest.bytes);
  await folder.records.change((current) => {
    const known = current.images.find(({ id }) => id === record.id);
    if (known === undefined) return current;
    const blobs = { ...current.blobs };
    for (const [i, { digest }] of outgoing.layers.entries()) {
      const diffId = record.layers[i] ?? "";
      const blob = blobs[diffId];
      if (blob?.digest !== digest) continue;
      blobs[diffId] = { ...blob, repositories: [...new Set([repository, ...blob.repositories])].slice(0, 10) };
    }
    const named = {
      ...known,
      tags: known.tags,
      digests: [`${repository}@${manifestDigest}`],
      blobs: [manifestDigest],
      manifest: manifestDigest,
    };
    return { ...addImage(current, named, {}), blobs };
  });
}

function asPushError(error: unknown): unknown {
  if (!(error instanceof PullError)) return error;
  const failure =
    error.failure === "Denied" || error.failure === "RegistryUnavailable" || error.failure === "BadLayer"
      ? error.failure
      : error.failure === "InvalidImageName"
        ? "InvalidImageName"
        : "Refused";
  return new PushError(failure, error.message, { cause: error });
}
