// The last step of pull and import: an image whose layers are all here becomes known.
import type { Clock } from "../../lib/clock.ts";
import { addBlobs, addImage, toImage } from "./changes.ts";
import type { Content } from "./content.ts";
import type { DiskSync } from "./disk-sync.ts";
import type { Downloads } from "./downloads.ts";
import type { Image } from "./images.ts";
import { type Layers, noSpace } from "./layers.ts";
import { parseConfig } from "./manifest.ts";
import type { ImageRecord, LayerBlob, RecordFile } from "./records.ts";

/** The rooms of one image folder. */
export interface Folder {
  readonly directory: string;
  readonly clock: Clock;
  readonly content: Content;
  readonly disk: DiskSync;
  readonly downloads: Downloads;
  readonly layers: Layers;
  readonly records: RecordFile;
}

export interface NewImage {
  readonly configBytes: Uint8Array;
  readonly manifestBytes: Uint8Array | undefined;
  /** The index that led to the manifest. */
  readonly indexBytes?: Uint8Array;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Compressed forms of its layers that are in the content store, by diff id. */
  readonly blobs?: Readonly<Record<string, LayerBlob>>;
}

/** Its layers must be present and held. */
export async function commitImage(folder: Folder, image: NewImage): Promise<Image> {
  const { content, layers, records } = folder;
  using _held = content.hold();
  try {
    const id = await content.write(image.configBytes);
    const manifest = image.manifestBytes === undefined ? [] : [await content.write(image.manifestBytes)];
    const index = image.indexBytes === undefined ? [] : [await content.write(image.indexBytes)];
    const { config, diffIds } = parseConfig(image.configBytes, `config ${id}`);
    const before = records.current.images.find((other) => other.id === id);
    const onlyNames = image.manifestBytes === undefined && image.annotations === undefined && image.blobs === undefined;
    if (before !== undefined && onlyNames) {
      const named = await nameImage(folder, id, image);
      if (named !== undefined) return named;
    }
    const [passwd, group] = await Promise.all(
      (await layers.readFiles(diffIds, ["/etc/passwd", "/etc/group"])).map((bytes) => bytes && content.write(bytes)),
    );
    const files = { ...(passwd === undefined ? {} : { passwd }), ...(group === undefined ? {} : { group }) };
    const record: ImageRecord = {
      id,
      tags: image.tags,
      digests: image.digests,
      layers: diffIds,
      blobs: [id, ...manifest, ...index, ...Object.values(files)],
      config,
      ...files,
      ...(manifest[0] === undefined ? {} : { manifest: manifest[0] }),
      ...(image.annotations === undefined ? {} : { annotations: image.annotations }),
      usedAtMs: folder.clock.now(),
    };
    const layerBytes = Object.fromEntries(diffIds.map((diffId) => [diffId, layers.bytes(diffId)]));
    await records.change((current) => addBlobs(addImage(current, record, layerBytes), image.blobs ?? {}));
    folder.disk.schedule();
    const known = records.current.images.find((other) => other.id === id) ?? record;
    return toImage(records.current, known);
  } catch (error) {
    throw noSpace(error);
  }
}

/** Gives an image that is here another name. */
export async function nameImage(
  folder: Folder,
  id: string,
  names: Pick<NewImage, "tags" | "digests">,
): Promise<Image | undefined> {
  const { records } = folder;
  await records.change((current) => {
    const known = current.images.find((image) => image.id === id);
    const { tags, digests } = names;
    return known === undefined
      ? current
      : addImage(current, { ...known, tags, digests, usedAtMs: folder.clock.now() }, {});
  });
  const known = records.current.images.find((image) => image.id === id);
  return known && toImage(records.current, known);
}
