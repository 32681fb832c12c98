// Which names and images a removal takes, by Docker's rules. Pure.
import { findImage, layersInUse, namesWithout, removeImages, removeName } from "./changes.ts";
import { ImageInUseError } from "./images.ts";
import { ImageConflictError, NoSuchImageError, type Removal, type RemoveOptions } from "./library.ts";
import type { ImageRecord, Records } from "./records.ts";
import { parseReference, repositoryName } from "./reference.ts";

export interface RemovalPlan {
  readonly records: Records;
  readonly removals: readonly Removal[];
}

/** `usersOf`: ids of containers that have a layer on an image. */
export function planRemoval(
  records: Records,
  reference: string,
  options: RemoveOptions & { readonly usersOf: (imageId: string) => readonly string[] },
): RemovalPlan {
  const found = findImage(records, reference);
  if (found === undefined) throw new NoSuchImageError(reference);
  const { image, name } = found;
  const byName = image.tags.includes(name) || image.digests.includes(name);
  const left = byName ? namesWithout(image, name) : { tags: [], digests: [] };
  const untagged = namesOf(image).filter((each) => !left.tags.includes(each) && !left.digests.includes(each));
  const untaggings = untagged.map((each) => ({ untagged: each }));
  if (byName && left.tags.length + left.digests.length > 0)
    return { records: removeName(records, image, name), removals: untaggings };
  if (!byName && options.force !== true && !hasOneName(image))
    throw new ImageConflictError(
      `image ${short(image.id)} has several names (${image.tags.join(", ")}): remove each of them, or force`,
    );
  const users = options.usersOf(image.id);
  if (users.length > 0) {
    refuseInUse({ image, reference, users, byName }, options);
    const dangling = { ...image, tags: [], digests: [] };
    const images = records.images.map((other) => (other.id === image.id ? dangling : other));
    return { records: { ...records, images }, removals: untaggings };
  }
  const after = removeImages(records, new Set([image.id]));
  return { records: after, removals: [...untaggings, ...deletions(records, after, [image])] };
}

/** Images that go: the image's id, then layers that nothing has any more. */
export function deletions(before: Records, after: Records, images: readonly ImageRecord[]): readonly Removal[] {
  const kept = layersInUse(after);
  const gone = new Set(images.flatMap(({ layers }) => layers.toReversed()).filter((layer) => !kept.has(layer)));
  const known = [...gone].filter((layer) => layer in before.layerBytes);
  return [...images.map(({ id }) => id), ...known].map((deleted) => ({ deleted }));
}

function refuseInUse(
  use: {
    readonly image: ImageRecord;
    readonly reference: string;
    readonly users: readonly string[];
    readonly byName: boolean;
  },
  { force, running }: RemoveOptions,
): void {
  const runs = use.users.filter((id) => running?.has(id) ?? true);
  // A name is only a name: taking it by force harms nobody.
  if (force === true && (use.byName || runs.length === 0)) return;
  const holders = force === true ? runs : use.users;
  const shown = holders.slice(0, 5).join(", ") + (holders.length > 5 ? ` and ${holders.length - 5} more` : "");
  throw new ImageInUseError(
    `image ${use.reference} is used by ${holders.length === 1 ? "container" : "containers"} ${shown}`,
    holders,
  );
}

function namesOf(image: ImageRecord): readonly string[] {
  return [...image.tags, ...image.digests];
}

function hasOneName(image: ImageRecord): boolean {
  const repositories = new Set(namesOf(image).map((name) => repositoryName(parseReference(name))));
  return image.tags.length <= 1 && repositories.size <= 1;
}

function short(id: string): string {
  return id.slice("sha256:".length, "sha256:".length + 12);
}
