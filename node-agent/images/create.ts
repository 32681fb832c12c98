// Images made here: of what a container changed, and of a root file system in a tar.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { nameSuffix, type Random } from "../../lib/random.ts";
import { commitImage, type Folder } from "./commit.ts";
import { runHelper } from "./helper.ts";
import type { Image } from "./images.ts";
import { type AdoptedLayer, noSpace } from "./layers.ts";
import type { CommitOptions, ImportTarOptions } from "./library.ts";
import { isObject } from "./manifest.ts";
import { makeConfig } from "./new-config.ts";
import type { ImageRecord } from "./records.ts";
import { formatReference, parseReference } from "./reference.ts";
import type { Trash } from "./trash.ts";
import { type LayerLimits, unpackLayer } from "./unpack.ts";

export interface CreateContext {
  readonly folder: Folder;
  readonly trash: Trash;
  readonly random: Random;
  readonly limits: LayerLimits;
}

/** The digest of a tar that holds nothing. */
export const emptyDiffId = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/** `upper` may be in use: what changes meanwhile is in the image or not. */
export async function commitContainer(
  context: CreateContext,
  { record, upper }: { readonly record: ImageRecord; readonly upper: string },
  options: CommitOptions,
): Promise<Image> {
  const { folder } = context;
  const tags = tagsOf(options.tag);
  using _below = folder.layers.hold(record.layers);
  const bytes = await folder.content.read(record.id);
  if (bytes === undefined) throw new Error(`config of image ${record.id} is gone from the disk: pull it again`);
  using layer = await makeLayer(context, async (aside) => {
    await runHelper(["snapshot", `dir:${upper}`, `dir:${aside}`]);
  });
  options.signal?.throwIfAborted();
  const created = new Date(folder.clock.now()).toISOString();
  const { createdBy = "", comment, author } = options;
  const line = {
    created,
    createdBy,
    ...(comment === undefined ? {} : { comment }),
    ...(author === undefined ? {} : { author }),
    ...(layer.diffId === emptyDiffId ? {} : { diffId: layer.diffId }),
  };
  const base: unknown = JSON.parse(bytes.toString());
  const configBytes = makeConfig({
    base: isObject(base) ? base : {},
    config: options.config ?? {},
    history: [line],
    created,
    author,
  });
  return await commitImage(folder, { configBytes, manifestBytes: undefined, tags, digests: [] });
}

/** Rejects with PullError. */
export async function importRoot(
  context: CreateContext,
  tar: AsyncIterable<Uint8Array>,
  options: ImportTarOptions,
): Promise<Image> {
  const { folder, limits } = context;
  const tags = tagsOf(options.tag);
  using layer = await makeLayer(context, async (aside) => {
    await unpackLayer({ bytes: tar }, { directory: aside, limits }, options.signal);
  });
  const created = new Date(folder.clock.now()).toISOString();
  const configBytes = makeConfig({
    config: options.config ?? {},
    history: [{ created, createdBy: "", comment: options.comment ?? "Imported from -", diffId: layer.diffId }],
    created,
    platform: options.platform,
  });
  return await commitImage(folder, { configBytes, manifestBytes: undefined, tags, digests: [] });
}

async function makeLayer(
  { folder, trash, random }: CreateContext,
  fill: (aside: string) => Promise<void>,
): Promise<AdoptedLayer> {
  const aside = join(folder.directory, "tmp", nameSuffix(random, 16));
  try {
    await mkdir(aside, { mode: 0o755 });
    await fill(aside);
    return await folder.layers.adopt(aside);
  } catch (error) {
    trash.take(aside);
    throw noSpace(error);
  }
}

function tagsOf(tag: string | undefined): readonly string[] {
  return tag === undefined ? [] : [formatReference(parseReference(tag))];
}
