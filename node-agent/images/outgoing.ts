// What an image consists of when it leaves the node: manifest, config and a blob for each layer.

import type { Folder } from "./commit.ts";
import { type Compression, ensureBlob } from "./compress.ts";
import { digestOf } from "./content.ts";
import {
  configBytesMax,
  imageConfigType,
  imageManifestType,
  manifestBytesMax,
  manifestMediaTypeOf,
  parseManifest,
} from "./manifest.ts";
import type { ImageRecord, LayerBlob } from "./records.ts";

export interface OutgoingImage {
  readonly manifest: { readonly bytes: Buffer; readonly digest: string; readonly mediaType: string };
  readonly config: { readonly bytes: Buffer; readonly digest: string; readonly mediaType: string };
  /** Lowest first. */
  readonly layers: readonly LayerBlob[];
}

/** Rejects with PullError("BadLayer") when a layer can no longer be had. The blobs are kept while the content is held. */
export async function outgoingImage(
  folder: Folder,
  record: ImageRecord,
  options: {
    readonly compression: Compression;
    readonly signal?: AbortSignal | undefined;
    readonly onLayer?: (diffId: string, blob: LayerBlob | undefined) => void;
  },
): Promise<OutgoingImage> {
  const layers = await Promise.all(
    record.layers.map(async (diffId) => {
      options.onLayer?.(diffId, undefined);
      const blob = await ensureBlob(folder, diffId, options);
      options.onLayer?.(diffId, blob);
      return blob;
    }),
  );
  const bytes = await folder.content.read(record.id);
  if (bytes === undefined) throw new Error(`config of image ${record.id} is gone from the disk: pull it again`);
  const kept = await keptManifest(folder, record, layers);
  if (kept !== undefined) return { ...kept, config: { ...kept.config, bytes }, layers };
  const config = { digest: record.id, mediaType: imageConfigType };
  const manifest = makeManifest({ ...config, size: bytes.length }, layers, record.annotations);
  return {
    manifest: { bytes: manifest, digest: digestOf(manifest), mediaType: imageManifestType },
    config: { ...config, bytes },
    layers,
  };
}

/** An OCI image manifest; the same bytes for the same image. */
export function makeManifest(
  config: { readonly mediaType: string; readonly digest: string; readonly size: number },
  layers: readonly LayerBlob[],
  annotations: Readonly<Record<string, string>> = {},
): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: imageManifestType,
      config,
      layers: layers.map(({ mediaType, digest, sizeBytes }) => ({ mediaType, digest, size: sizeBytes })),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    }),
  );
}

// The manifest that the image came with, when it speaks of the very blobs that are here: so its digest stays.
async function keptManifest(folder: Folder, record: ImageRecord, layers: readonly LayerBlob[]) {
  if (record.manifest === undefined) return undefined;
  const bytes = await folder.content.read(record.manifest);
  if (bytes === undefined || bytes.length > manifestBytesMax) return undefined;
  const manifest = parseManifest(bytes, `manifest ${record.manifest}`);
  if (manifest.type !== "image" || manifest.config.sizeBytes > configBytesMax) return undefined;
  const fits =
    manifest.layers.length === layers.length && manifest.layers.every(({ digest }, i) => layers[i]?.digest === digest);
  if (!fits) return undefined;
  return {
    manifest: { bytes, digest: record.manifest, mediaType: manifestMediaTypeOf(bytes) },
    config: { digest: record.id, mediaType: manifest.config.mediaType },
  };
}
