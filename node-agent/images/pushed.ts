// Manifests that were pushed to this node as a registry: what they name, and how the records of them change. Pure.
import { PullError } from "./images.ts";
import { type Descriptor, isObject, manifestBytesMax, parseDescriptor, parseObject, stringMap } from "./manifest.ts";
import type { PushedManifest, Records } from "./records.ts";
import { clusterRegistry, type Reference } from "./reference.ts";

export interface ManifestParts {
  readonly mediaType: string;
  /** Undefined for an index. */
  readonly config: Descriptor | undefined;
  readonly layers: readonly Descriptor[];
  /** Of an index. */
  readonly manifests: readonly Descriptor[];
  readonly subject: string | undefined;
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

const entriesMax = 1000;

/** Any manifest or index that a registry takes, images or not; throws PullError("BadLayer"). */
export function manifestParts(bytes: Uint8Array, contentType: string): ManifestParts {
  const what = "the manifest";
  if (bytes.length > manifestBytesMax)
    throw new PullError("BadLayer", `${what} is larger than ${manifestBytesMax} bytes`);
  const body = parseObject(bytes, what);
  const descriptors = (key: string) => {
    const value = body[key];
    if (value === undefined) return [];
    if (!Array.isArray(value) || value.length > entriesMax)
      throw new PullError("BadLayer", `${what} has ${key} that is no list of at most ${entriesMax}`);
    return value.map((each) => parseDescriptor(each, what));
  };
  if (body["schemaVersion"] !== 2) throw new PullError("BadLayer", `${what} has not the schemaVersion 2`);
  const isIndex = Array.isArray(body["manifests"]);
  if (isIndex === isObject(body["config"]))
    throw new PullError("BadLayer", `${what} must have either manifests or a config`);
  const declared = typeof body["mediaType"] === "string" ? body["mediaType"] : contentType;
  if (declared !== contentType)
    throw new PullError("BadLayer", `${what} says that it is ${declared}, but is sent as ${contentType}`);
  const config = isIndex ? undefined : parseDescriptor(body["config"], what);
  const artifactType = typeof body["artifactType"] === "string" ? body["artifactType"] : config?.mediaType;
  return {
    mediaType: declared,
    config,
    layers: isIndex ? [] : descriptors("layers"),
    manifests: isIndex ? descriptors("manifests") : [],
    subject: isObject(body["subject"]) ? parseDescriptor(body["subject"], what).digest : undefined,
    artifactType,
    annotations: stringMap(body["annotations"]),
  };
}

/** A tag leaves the manifest that had it before. */
export function addPushed(records: Records, added: PushedManifest): Records {
  const pushed = records.pushed ?? [];
  const known = pushed.find(isThe(added.repository, added.digest));
  const others = pushed
    .filter((each) => each !== known)
    .map((each) => (each.repository === added.repository ? withoutTags(each, added.tags) : each));
  const tags = [...new Set([...(known?.tags ?? []), ...added.tags])];
  return { ...records, pushed: [...others, { ...added, tags }] };
}

/** What a name of the cluster's registry means, as it was pushed; undefined when it was not, or means another image by now. */
export function findPushed(records: Records, reference: Reference): PushedManifest | undefined {
  const { registry, repository, tag = "", digest } = reference;
  if (registry !== clusterRegistry) return undefined;
  const pushed = records.pushed ?? [];
  if (digest !== undefined) return pushed.find(isThe(repository, digest));
  const found = pushed.find((each) => each.repository === repository && each.tags.includes(tag));
  // Its image may have lost the name since, to another that was built here.
  const name = `${registry}/${repository}:${tag}`;
  const holder = records.images.find(({ tags }) => tags.includes(name));
  return found === undefined || found.imageId !== holder?.id ? undefined : found;
}

/** Takes a tag, or a manifest with all its tags. */
export function removePushed(
  records: Records,
  repository: string,
  name: { tag: string } | { digest: string },
): Records {
  const pushed = records.pushed ?? [];
  const left =
    "tag" in name
      ? pushed.map((each) => (each.repository === repository ? withoutTags(each, [name.tag]) : each))
      : pushed.filter((each) => !isThe(repository, name.digest)(each));
  return keepPushed({ ...records, pushed: left });
}

/** Without those whose image is gone, and what only they named. */
export function keepPushed(records: Records): Records {
  if (records.pushed === undefined) return records;
  const ids = new Set(records.images.map(({ id }) => id));
  const kept = records.pushed.filter(({ imageId }) => imageId === undefined || ids.has(imageId));
  const gone = records.pushed.filter((each) => !kept.includes(each));
  const parts = new Set(gone.flatMap(({ repository, manifests }) => manifests.map((part) => `${repository}@${part}`)));
  const named = new Set(kept.flatMap(({ repository, manifests }) => manifests.map((part) => `${repository}@${part}`)));
  const isOrphan = ({ repository, digest, tags, imageId }: PushedManifest) => {
    const name = `${repository}@${digest}`;
    return imageId === undefined && tags.length === 0 && parts.has(name) && !named.has(name);
  };
  return { ...records, pushed: kept.filter((each) => !isOrphan(each)) };
}

/** Digests that must stay in the content store. */
export function pushedBlobs({ pushed = [] }: Records): readonly string[] {
  return pushed.flatMap(({ digest, blobs }) => [digest, ...blobs]);
}

/** What the cluster's registry may show of this node: blobs of its images, and of no others. */
export function isShown(records: Records, digest: string): boolean {
  if (pushedBlobs(records).includes(digest)) return true;
  const own = records.images.filter(({ tags, digests }) =>
    [...tags, ...digests].some((name) => name.startsWith(`${clusterRegistry}/`)),
  );
  return own.some(
    ({ blobs, layers }) => blobs.includes(digest) || layers.some((layer) => records.blobs?.[layer]?.digest === digest),
  );
}

/** Tags by repository, of all that this node has for the cluster's registry. */
export function shownTags(records: Records): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  const add = (repository: string, tags: readonly string[]) => {
    const known = found.get(repository) ?? new Set();
    for (const tag of tags) known.add(tag);
    found.set(repository, known);
  };
  for (const { repository, tags, imageId } of records.pushed ?? []) if (imageId === undefined) add(repository, tags);
  for (const name of records.images.flatMap(({ tags }) => tags)) {
    if (!name.startsWith(`${clusterRegistry}/`)) continue;
    const colon = name.lastIndexOf(":");
    add(name.slice(clusterRegistry.length + 1, colon), [name.slice(colon + 1)]);
  }
  return found;
}

function isThe(repository: string, digest: string): (each: PushedManifest) => boolean {
  return (each) => each.repository === repository && each.digest === digest;
}

function withoutTags(pushed: PushedManifest, tags: readonly string[]): PushedManifest {
  return { ...pushed, tags: pushed.tags.filter((tag) => !tags.includes(tag)) };
}
