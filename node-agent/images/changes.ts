// How what a node knows of its images changes. Pure.
import type { Image } from "./images.ts";
import { keepPushed, pushedBlobs } from "./pushed.ts";
import type { CacheEntry, ImageRecord, LayerBlob, Records } from "./records.ts";
import { parseReference, repositoryName } from "./reference.ts";

const repositoriesMax = 10;
const cacheEntriesMax = 5_000;

/** Adds an image, or its new names; a tag leaves the image that had it before. */
export function addImage(records: Records, added: ImageRecord, layerBytes: Readonly<Record<string, number>>): Records {
  const known = records.images.find((image) => image.id === added.id);
  const merged: ImageRecord = {
    ...(known?.manifest === undefined ? {} : { manifest: known.manifest }),
    ...(known?.annotations === undefined ? {} : { annotations: known.annotations }),
    ...added,
    tags: union(known?.tags, added.tags),
    digests: union(known?.digests, added.digests),
    blobs: union(known?.blobs, added.blobs),
  };
  const others = records.images
    .filter((image) => image.id !== added.id)
    .map((image) => ({ ...image, tags: image.tags.filter((tag) => !added.tags.includes(tag)) }));
  const isSame = known !== undefined && isDeepEqual({ ...merged, usedAtMs: 0 }, { ...known, usedAtMs: 0 });
  // A build of what is known already changes nothing.
  if (isSame) return records;
  const fresh = [added.id, ...Object.keys(layerBytes)].filter(
    (id) => id !== known?.id && records.layerBytes[id] === undefined,
  );
  return {
    ...records,
    images: [...others, merged],
    layerBytes: { ...records.layerBytes, ...layerBytes },
    unsynced: union(records.unsynced, fresh),
  };
}

/** What a crash of the machine leaves: nothing that may be torn. */
export function withoutUnsynced(records: Records): Records {
  const torn = new Set(records.unsynced);
  const images = records.images.filter(({ id, layers }) => !torn.has(id) && !layers.some((layer) => torn.has(layer)));
  const cache = Object.entries(records.buildCache ?? {}).filter(([, { diffId = "" }]) => !torn.has(diffId));
  const layerBytes = Object.fromEntries(Object.entries(records.layerBytes).filter(([diffId]) => !torn.has(diffId)));
  return withoutUnused({ ...records, images, buildCache: Object.fromEntries(cache), layerBytes, unsynced: [] });
}

export function markSynced(records: Records, ids: readonly string[]): Records {
  const done = new Set(ids);
  return { ...records, unsynced: (records.unsynced ?? []).filter((id) => !done.has(id)) };
}

/**
 * Takes a name from its image; the image goes with its last one. A tag takes along the digests of its repository when the
 * repository has no other tag on the image. An id takes all.
 */
export function removeName(records: Records, image: ImageRecord, name: string): Records {
  const left = namesWithout(image, name);
  if (left.tags.length + left.digests.length === 0) return removeImages(records, new Set([image.id]));
  return { ...records, images: records.images.map((other) => (other.id === image.id ? { ...image, ...left } : other)) };
}

export function removeImages(records: Records, ids: ReadonlySet<string>): Records {
  return withoutUnused({ ...records, images: records.images.filter((image) => !ids.has(image.id)) });
}

/** Layers that an image or a build's step has. */
export function layersInUse(records: Records): ReadonlySet<string> {
  const steps = Object.values(records.buildCache ?? {}).flatMap(({ diffId }) => diffId ?? []);
  return new Set([...records.images.flatMap(({ layers }) => layers), ...steps]);
}

/** Notes what steps made; what is known already is only used again. */
export function addCacheEntries(
  records: Records,
  entries: Readonly<Record<string, Omit<CacheEntry, "usedAtMs">>>,
  { nowMs, bytesOf }: { readonly nowMs: number; readonly bytesOf: (diffId: string) => number },
): Records {
  const used = Object.fromEntries(Object.entries(entries).map(([key, entry]) => [key, { ...entry, usedAtMs: nowMs }]));
  const all = Object.entries({ ...records.buildCache, ...used });
  const newest = all.length <= cacheEntriesMax ? all : all.toSorted((a, b) => b[1].usedAtMs - a[1].usedAtMs);
  const layers = Object.values(entries).flatMap(({ diffId }) => diffId ?? []);
  const layerBytes = Object.fromEntries(layers.map((diffId) => [diffId, bytesOf(diffId)]));
  const buildCache = Object.fromEntries(newest.slice(0, cacheEntriesMax));
  const fresh = layers.filter((diffId) => records.layerBytes[diffId] === undefined);
  const unsynced = union(records.unsynced, fresh);
  return { ...records, buildCache, layerBytes: { ...records.layerBytes, ...layerBytes }, unsynced };
}

/** Of layers that only builds' steps have. */
export function cacheOnlyBytes(records: Records): number {
  const ofImages = new Set(records.images.flatMap(({ layers }) => layers));
  const own = [...layersInUse(records)].filter((layer) => !ofImages.has(layer));
  return own.reduce((sum, layer) => sum + (records.layerBytes[layer] ?? 0), 0);
}

/** Forgets steps, those not used for longest first, until what only they have takes `keepBytes` at most. */
export function planCachePruning(
  records: Records,
  keepBytes: number,
  usedSinceMs: number = Number.POSITIVE_INFINITY,
): Records {
  const ofImages = new Set(records.images.flatMap(({ layers }) => layers));
  const kept: [string, CacheEntry][] = [];
  const counted = new Set<string>();
  let bytes = 0;
  for (const [key, entry] of Object.entries(records.buildCache ?? {}).toSorted(
    (a, b) => b[1].usedAtMs - a[1].usedAtMs,
  )) {
    const isOwn = entry.diffId !== undefined && !ofImages.has(entry.diffId) && !counted.has(entry.diffId);
    bytes += isOwn ? (records.layerBytes[entry.diffId ?? ""] ?? 0) : 0;
    if ((bytes > keepBytes || keepBytes === 0) && entry.usedAtMs < usedSinceMs) break;
    if (entry.diffId !== undefined) counted.add(entry.diffId);
    kept.push([key, entry]);
  }
  return withoutUnused({ ...records, buildCache: Object.fromEntries(kept) });
}

function withoutUnused(records: Records): Records {
  const used = layersInUse(records);
  const ofUsed = <Value>(values: Readonly<Record<string, Value>>) =>
    Object.fromEntries(Object.entries(values).filter(([diffId]) => used.has(diffId)));
  return keepPushed({ ...records, layerBytes: ofUsed(records.layerBytes), blobs: ofUsed(records.blobs ?? {}) });
}

/** Notes compressed forms of layers; repositories that are known already stay known. */
export function addBlobs(records: Records, added: Readonly<Record<string, LayerBlob>>): Records {
  const blobs = { ...records.blobs };
  for (const [diffId, blob] of Object.entries(added)) {
    const known = blobs[diffId];
    const before = known?.digest === blob.digest ? known.repositories : [];
    const repositories = [...new Set([...blob.repositories, ...before])].slice(0, repositoriesMax);
    // The form that came first stays: manifests name it.
    blobs[diffId] = known === undefined || known.digest === blob.digest ? { ...blob, repositories } : known;
  }
  return { ...records, blobs };
}

/** Digests of all that the content store has to keep. */
export function blobsInUse(records: Records): ReadonlySet<string> {
  const used = layersInUse(records);
  const compressed = Object.entries(records.blobs ?? {}).flatMap(([diffId, { digest }]) =>
    used.has(diffId) ? [digest] : [],
  );
  return new Set([...records.images.flatMap(({ blobs }) => blobs), ...compressed, ...pushedBlobs(records)]);
}

export function namesWithout(image: ImageRecord, name: string): Pick<ImageRecord, "tags" | "digests"> {
  if (image.digests.includes(name))
    return { tags: image.tags, digests: image.digests.filter((digest) => digest !== name) };
  if (!image.tags.includes(name)) return { tags: [], digests: [] };
  const tags = image.tags.filter((tag) => tag !== name);
  const repository = repositoryName(parseReference(name));
  const stillTagged = tags.some((tag) => repositoryName(parseReference(tag)) === repository);
  return {
    tags,
    digests: stillTagged ? image.digests : image.digests.filter((digest) => !digest.startsWith(`${repository}@`)),
  };
}

/** The image that a reference, an id or the start of an id means, and the name by which it was found. */
export function findImage(
  records: Records,
  text: string,
): { readonly image: ImageRecord; readonly name: string } | undefined {
  const byId = records.images.find((image) => image.id === text || image.id === `sha256:${text}`);
  if (byId !== undefined) return { image: byId, name: byId.id };
  const name = canonicalName(text);
  const named = records.images.find((image) => image.tags.includes(name) || image.digests.includes(name));
  if (named !== undefined) return { image: named, name };
  const start = text.startsWith("sha256:") ? text : `sha256:${text}`;
  const candidates = /^(sha256:)?[a-f0-9]{4,64}$/.test(text)
    ? records.images.filter((image) => image.id.startsWith(start))
    : [];
  const [only] = candidates;
  return candidates.length === 1 && only !== undefined ? { image: only, name: only.id } : undefined;
}

/** Which images go to free `bytes`: not in use, not used since `beforeMs`, longest unused first. */
export function planCollection(
  records: Records,
  options: {
    readonly bytes: number;
    /** Images that were used, or came, later stay. */
    readonly beforeMs: number;
    /** The same of images that no registry is known to have. */
    readonly ownBeforeMs: number;
    readonly keep: ReadonlySet<string>;
  },
): { readonly ids: ReadonlySet<string>; readonly freedBytes: number } {
  const users = new Map<string, number>();
  for (const layer of records.images.flatMap((image) => [...new Set(image.layers)]))
    users.set(layer, (users.get(layer) ?? 0) + 1);
  // What was pushed here may be nowhere else.
  const pushed = new Set((records.pushed ?? []).map(({ imageId }) => imageId));
  const ids = new Set<string>();
  let freedBytes = 0;
  for (const image of records.images.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (freedBytes >= options.bytes) break;
    const beforeMs = isElsewhere(records, image) ? options.beforeMs : options.ownBeforeMs;
    if (options.keep.has(image.id) || pushed.has(image.id) || image.usedAtMs > beforeMs) continue;
    ids.add(image.id);
    for (const layer of new Set(image.layers)) {
      const left = (users.get(layer) ?? 1) - 1;
      users.set(layer, left);
      if (left === 0) freedBytes += records.layerBytes[layer] ?? 0;
    }
  }
  return { ids, freedBytes };
}

// It came from a registry or went to one, with all its layers: it can be had again.
function isElsewhere({ blobs = {} }: Records, { digests, layers }: ImageRecord): boolean {
  return digests.length > 0 && layers.every((layer) => (blobs[layer]?.repositories.length ?? 1) > 0);
}

export function toImage(records: Records, record: ImageRecord): Image {
  const { id, tags, digests, config } = record;
  const sizeBytes = record.layers.reduce((sum, layer) => sum + (records.layerBytes[layer] ?? 0), 0);
  return { id, tags, digests, sizeBytes, config };
}

function canonicalName(text: string): string {
  try {
    const reference = parseReference(text);
    const repository = repositoryName(reference);
    return reference.digest === undefined ? `${repository}:${reference.tag}` : `${repository}@${reference.digest}`;
  } catch {
    return text;
  }
}

// Of plain data.
function isDeepEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function union(first: readonly string[] = [], second: readonly string[]): readonly string[] {
  return [...new Set([...first, ...second])];
}
