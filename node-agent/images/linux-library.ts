import { join } from "node:path";
import { findImage, removeImages } from "./changes.ts";
import { nameImage } from "./commit.ts";
import { exportContainer, listChanges, measureWritten, readPath, statPath, writePath } from "./container-files.ts";
import { type CreateContext, commitContainer, importRoot } from "./create.ts";
import { toDetails, toHistory } from "./details.ts";
import { type Image, PullError, type PullOptions, type RegistryCredentials } from "./images.ts";
import {
  type Change,
  type CommitOptions,
  type ContainerRoot,
  type DiskUsage,
  type FoundImage,
  type HistoryLine,
  type ImageDetails,
  type ImageEvent,
  type ImageLibrary,
  type ImportTarOptions,
  type LookedUp,
  type LookUpOptions,
  NoSuchImageError,
  NoSuchLayerError,
  type PathStat,
  type PruneOptions,
  PushError,
  type PushOptions,
  type Removal,
  type RemoveOptions,
  type SaveOptions,
  type SearchOptions,
  type WritePathOptions,
} from "./library.ts";
import { LinuxImages } from "./linux-images.ts";
import { listTags, lookUpImage } from "./look-up.ts";
import type { PullContext } from "./pull.ts";
import { parsePushed, pushImage } from "./push.ts";
import type { ImageRecord } from "./records.ts";
import { clusterRegistry, formatReference, parseReference, type Reference, registryHost } from "./reference.ts";
import { deletions, planRemoval } from "./removal.ts";
import { mergeSaved, planSave, saveImages } from "./save.ts";
import { searchRegistry } from "./search.ts";
import { layerLimits } from "./unpack.ts";
import { toUsage } from "./usage.ts";
import { Workshop } from "./workshop.ts";

export class LinuxLibrary extends LinuxImages implements ImageLibrary {
  readonly #listeners = new Set<(event: ImageEvent) => void>();

  async tag(reference: string, name: string): Promise<Image> {
    const { folder } = this.parts;
    const target = parseReference(name);
    if (target.digest !== undefined)
      throw new PullError("InvalidImageName", `image name ${name}: a digest cannot be given as a name`);
    const tag = formatReference(target);
    const image = await nameImage(folder, this.#record(reference).id, { tags: [tag], digests: [] });
    if (image === undefined) throw new NoSuchImageError(reference);
    this.#tell({ action: "tag", id: image.id, name: tag });
    return image;
  }

  async removeImage(reference: string, options: RemoveOptions = {}): Promise<readonly Removal[]> {
    const { folder, writable } = this.parts;
    let removals: readonly Removal[] = [];
    await folder.records.change((current) => {
      const plan = planRemoval(current, reference, { ...options, usersOf: (id) => writable.usersOf(id) });
      removals = plan.removals;
      return plan.records;
    });
    this.sweep();
    this.#tellRemovals(removals);
    return removals;
  }

  async inspect(reference: string): Promise<ImageDetails> {
    return await this.#details(this.#record(reference));
  }

  async history(reference: string): Promise<readonly HistoryLine[]> {
    return toHistory(await this.inspect(reference));
  }

  async prune(options: PruneOptions): Promise<{ readonly removed: readonly Removal[]; readonly freedBytes: number }> {
    const { folder, writable, trash } = this.parts;
    const details = await Promise.all(folder.records.current.images.map((record) => this.#details(record)));
    const wanted = new Set(details.filter((image) => isPrunable(image, options)).map(({ id }) => id));
    const before = folder.records.current;
    let removed: readonly Removal[] = [];
    await folder.records.change((current) => {
      const going = current.images.filter(({ id }) => wanted.has(id) && writable.usersOf(id).length === 0);
      const after = removeImages(current, new Set(going.map(({ id }) => id)));
      const untagged = going.flatMap(({ tags, digests }) => [...tags, ...digests]).map((name) => ({ untagged: name }));
      removed = [...untagged, ...deletions(current, after, going)];
      return going.length === 0 ? current : after;
    });
    this.sweep();
    this.#tellRemovals(removed);
    await trash.settle();
    const gone = removed.flatMap((removal) => ("deleted" in removal ? [removal.deleted] : []));
    return { removed, freedBytes: gone.reduce((sum, digest) => sum + (before.layerBytes[digest] ?? 0), 0) };
  }

  onEvent(listener: (event: ImageEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async save(references: readonly string[], options: SaveOptions = {}): Promise<NodeJS.ReadableStream> {
    const { folder } = this.parts;
    const saved = references.map((reference) => planSave(folder.records.current, reference));
    const tar = await saveImages(folder, mergeSaved(saved), options);
    for (const { record } of saved) this.#tell({ action: "save", id: record.id });
    return tar;
  }

  async importTar(tar: AsyncIterable<Uint8Array>, options: ImportTarOptions): Promise<Image> {
    const image = await importRoot(this.#creation(), tar, options);
    this.#tell({ action: "import", id: image.id, ...named(image) });
    return image;
  }

  async commit(containerId: string, options: CommitOptions): Promise<Image> {
    const { folder, writable } = this.parts;
    const imageId = writable.imageOf(containerId);
    const record = folder.records.current.images.find(({ id }) => id === imageId);
    if (record === undefined) throw new NoSuchLayerError(containerId);
    const upper = join(writable.folderOf(containerId), "upper");
    const image = await commitContainer(this.#creation(), { record, upper }, options);
    this.sweep();
    return image;
  }

  async changes(containerId: string): Promise<readonly Change[]> {
    return await listChanges(this.parts, containerId);
  }

  async exportRoot(containerId: string, signal?: AbortSignal): Promise<NodeJS.ReadableStream> {
    return exportContainer(this.parts, containerId, signal);
  }

  async statPath(root: ContainerRoot, path: string): Promise<PathStat | undefined> {
    return await statPath(this.parts, root, path);
  }

  async readPath(root: ContainerRoot, path: string, signal?: AbortSignal): Promise<NodeJS.ReadableStream> {
    return await readPath(this.parts, root, { path, signal });
  }

  async writePath(root: ContainerRoot, path: string, options: WritePathOptions): Promise<void> {
    await writePath(this.parts, root, path, options);
  }

  async push(text: string, options: PushOptions): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
    const { folder } = this.parts;
    const reference = parsePushed(text);
    const record = this.#record(formatReference(reference));
    // Never a mirror: it only repeats what the registry has.
    const isOurs = reference.registry === clusterRegistry && this.peers !== undefined;
    const registry = isOurs ? this.peers?.home(reference) : this.registriesFor(reference.registry).at(-1);
    if (registry === undefined)
      throw new PushError("RegistryUnavailable", `no node of the cluster is ready to take ${text}`);
    const signal =
      options.signal === undefined ? this.stopped.signal : AbortSignal.any([options.signal, this.stopped.signal]);
    const credentials = await this.credentialsFor(reference.registry, options.credentials);
    const pushed = await pushImage({ folder, registry }, { reference, record }, { ...options, credentials, signal });
    this.#tell({ action: "push", id: formatReference(reference) });
    return pushed;
  }

  async login(host: string, credentials: RegistryCredentials, signal?: AbortSignal): Promise<void> {
    const registry = this.registriesFor(registryHost(host)).at(-1);
    if (registry === undefined) throw new Error(`bug: no registry for ${host}`);
    await registry.login(credentials, signal).catch((error: unknown) => {
      throw error instanceof PullError
        ? new PushError(error.failure === "Denied" ? "Denied" : "RegistryUnavailable", error.message, { cause: error })
        : error;
    });
  }

  async search(term: string, options: SearchOptions): Promise<readonly FoundImage[]> {
    const host = registryHost(options.registry ?? "");
    const registry = this.registriesFor(host).at(-1);
    if (registry === undefined) throw new Error(`bug: no registry for ${host}`);
    const [credentials] = await this.credentialsFor(
      host,
      options.credentials === undefined ? [] : [options.credentials],
    );
    const signal = options.signal ?? this.stopped.signal;
    return await searchRegistry(registry, { host, term, limit: options.limit ?? 25, credentials }, signal);
  }

  async listTags(repository: string, options: LookUpOptions): Promise<readonly string[]> {
    const reference = parseReference(repository);
    return await listTags(this.#looking(), reference, await this.#asWhom(reference, options));
  }

  async lookUp(text: string, options: LookUpOptions): Promise<LookedUp> {
    const reference = parseReference(text);
    return await lookUpImage(this.#looking(), reference, await this.#asWhom(reference, options));
  }

  #looking(): Pick<PullContext, "registriesFor"> {
    return { registriesFor: (host) => this.registriesFor(host) };
  }

  async #asWhom({ registry }: Reference, { credentials, signal }: LookUpOptions) {
    return {
      credentials: await this.credentialsFor(registry, credentials),
      signal: signal ?? this.stopped.signal,
    };
  }

  async usage(): Promise<DiskUsage> {
    const { folder, writable } = this.parts;
    const containers = writable.list().map(({ containerId }) => containerId);
    const written = await measureWritten(this.parts, containers);
    return toUsage(folder.records.current, {
      usersOf: (id) => writable.usersOf(id),
      containers: containers.map((containerId, i) => ({ containerId, writableBytes: written[i] ?? 0 })),
    });
  }

  override async pull(text: string, options: PullOptions): Promise<Image> {
    const image = await super.pull(text, options);
    this.#tell({ action: "pull", id: formatReference(parseReference(text)), name: text });
    return image;
  }

  override async import(
    archive: NodeJS.ReadableStream,
    options: { readonly tag?: string; readonly signal?: AbortSignal } = {},
  ): Promise<readonly Image[]> {
    const images = await super.import(archive, options);
    for (const image of images) this.#tell({ action: "load", id: image.id, ...named(image) });
    return images;
  }

  workshop(): Workshop {
    const { folder, trash, options, runDirectory } = this.parts;
    return new Workshop({ folder, trash, random: options.random, runDirectory, sweep: () => this.sweep() });
  }

  #creation(): CreateContext {
    const { folder, trash, options } = this.parts;
    return { folder, trash, random: options.random, limits: options.limits ?? layerLimits };
  }

  #record(reference: string): ImageRecord {
    const found = findImage(this.parts.folder.records.current, reference);
    if (found === undefined) throw new NoSuchImageError(reference);
    return found.image;
  }

  async #details(record: ImageRecord): Promise<ImageDetails> {
    const { content, records } = this.parts.folder;
    const bytes = await content.read(record.id);
    if (bytes === undefined) throw new Error(`config of image ${record.id} is gone from the disk: pull it again`);
    return toDetails(records.current, record, bytes);
  }

  #tell(event: ImageEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #tellRemovals(removals: readonly Removal[]): void {
    for (const removal of removals) {
      if ("untagged" in removal) this.#tell({ action: "untag", id: removal.untagged, name: removal.untagged });
      else this.#tell({ action: "delete", id: removal.deleted });
    }
  }
}

function named({ tags: [name] }: Image): { readonly name?: string } {
  return name === undefined ? {} : { name };
}

function isPrunable(image: ImageDetails, { all, untilMs, matches }: PruneOptions): boolean {
  if (!all && image.tags.length + image.digests.length > 0) return false;
  if (untilMs !== undefined && Date.parse(image.created ?? "1970-01-01T00:00:00Z") >= untilMs) return false;
  return matches?.(image) ?? true;
}
