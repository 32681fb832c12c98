// Images on Linux: the folder of one node's images opened, cleared of what a crash left, and its parts put together.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { resolve as absolute, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { findImage, planCollection, removeImages, toImage } from "./changes.ts";
import { type Folder, nameImage } from "./commit.ts";
import { Content } from "./content.ts";
import { toDetails, toHistory } from "./details.ts";
import { HttpClient } from "./http.ts";
import {
  type CollectOptions,
  type Image,
  type ImageStore,
  PullError,
  type PullOptions,
  type PullProgress,
  type WritableLayer,
} from "./images.ts";
import { importArchive } from "./import.ts";
import { Layers } from "./layers.ts";
import {
  type HistoryLine,
  type ImageDetails,
  type ImageEvent,
  type ImageLibrary,
  NoSuchImageError,
  type PruneOptions,
  type Removal,
  type RemoveOptions,
} from "./library.ts";
import { WritableLayers } from "./overlay.ts";
import { pullImage } from "./pull.ts";
import { type ImageRecord, RecordFile } from "./records.ts";
import { formatReference, parseReference } from "./reference.ts";
import { Registry, type RegistrySettings } from "./registry.ts";
import { deletions, planRemoval } from "./removal.ts";
import { SharedWork } from "./share.ts";
import { Trash } from "./trash.ts";
import { type LayerLimits, layerLimits } from "./unpack.ts";
import { resolveUser } from "./users.ts";

export interface ImagesOptions {
  /** Holds images across restarts; one process at a time. */
  readonly dir: string;
  /** For short links to layers, such as /run/naru: the shorter, the more layers fit into a mount. Default: within `dir`. */
  readonly runDir?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** By host, as in image names: "docker.io", "registry.local:5000". */
  readonly registries?: Readonly<Record<string, RegistrySettings>>;
  readonly limits?: LayerLimits;
}

const minAgeMsDefault = 120_000;
const usersMax = 200;

/** Opens a node's images. Root and a kernel with overlayfs are needed, and naru-unpack built. */
export async function openImages(options: ImagesOptions): Promise<OpenedImages> {
  const directory = absolute(options.dir);
  const runDirectory = absolute(options.runDir ?? directory);
  for (const path of [directory, runDirectory]) {
    if (/[,:\\\s]/.test(path))
      throw new Error(`${path}: overlay mounts cannot have a folder with , : \\ or spaces in its name`);
  }
  await mkdir(join(directory, "tmp"), { recursive: true, mode: 0o700 });
  const { random, log, clock } = options;
  const trash = new Trash({ directory, clock, random, log });
  const records = new RecordFile(directory);
  const content = new Content(directory);
  const limits = options.limits ?? layerLimits;
  const layers = new Layers({ directory, links: join(runDirectory, "l"), trash, random, limits });
  const writable = new WritableLayers(directory, trash);
  await Promise.all([records.open(), content.open(), trash.open(), mkdir(runDirectory, { recursive: true })]);
  for (const name of await readdir(join(directory, "tmp"))) trash.take(join(directory, "tmp", name));
  await layers.open(records.current.layerBytes);
  await dropBroken(records, layers, log);
  const parts: Parts = { options, folder: { directory, clock, content, layers, records }, trash, writable };
  await writable.open({ sameBoot: await isSameBoot(directory) });
  return new LinuxImages(parts);
}

export type OpenedImages = ImageStore &
  Pick<ImageLibrary, "tag" | "removeImage" | "inspect" | "history" | "prune" | "onEvent">;

interface Parts {
  readonly options: ImagesOptions;
  readonly folder: Folder;
  readonly trash: Trash;
  readonly writable: WritableLayers;
}

class LinuxImages implements OpenedImages {
  readonly #parts: Parts;
  readonly #http: HttpClient;
  readonly #registries = new Map<string, readonly Registry[]>();
  readonly #pulls = new SharedWork<Image, PullProgress>((progress) =>
    progress.type === "layer" ? progress.digest : "",
  );
  /** Texts of passwd and group by digest. */
  readonly #users = new Map<string, string>();
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<(event: ImageEvent) => void>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#http = new HttpClient(parts.options.clock);
  }

  async find(reference: string): Promise<Image | undefined> {
    const { current } = this.#parts.folder.records;
    const found = findImage(current, reference);
    return found && toImage(current, found.image);
  }

  async list(): Promise<readonly Image[]> {
    const { current } = this.#parts.folder.records;
    return current.images.map((image) => toImage(current, image));
  }

  async pull(text: string, options: PullOptions): Promise<Image> {
    const reference = parseReference(text);
    const { credentials, onProgress, signal } = options;
    // Other credentials are other work: nobody gets an image on another's password.
    const key = JSON.stringify([
      formatReference(reference),
      credentials.map(({ username, password }) => [username, password]),
    ]);
    const context = { folder: this.#parts.folder, registriesFor: (host: string) => this.#registriesFor(host) };
    return await this.#pulls.join(
      key,
      (report, own) =>
        pullImage(context, reference, { credentials, report, signal: AbortSignal.any([own, this.#stopped.signal]) }),
      { onProgress, signal },
    );
  }

  async import(
    archive: NodeJS.ReadableStream,
    options: { readonly tag?: string; readonly signal?: AbortSignal } = {},
  ): Promise<readonly Image[]> {
    const { folder, trash, options: own } = this.#parts;
    const signal =
      options.signal === undefined ? this.#stopped.signal : AbortSignal.any([options.signal, this.#stopped.signal]);
    return await importArchive({ folder, trash, random: own.random }, archive as AsyncIterable<Uint8Array>, {
      tag: options.tag,
      signal,
    });
  }

  async remove(reference: string): Promise<void> {
    await this.removeImage(reference);
  }

  async tag(reference: string, name: string): Promise<Image> {
    const { folder } = this.#parts;
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
    const { folder, writable } = this.#parts;
    let removals: readonly Removal[] = [];
    await folder.records.change((current) => {
      const plan = planRemoval(current, reference, { ...options, usersOf: (id) => writable.usersOf(id) });
      removals = plan.removals;
      return plan.records;
    });
    this.#sweep();
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
    const { folder, writable, trash } = this.#parts;
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
    this.#sweep();
    this.#tellRemovals(removed);
    await trash.settle();
    const gone = removed.flatMap((removal) => ("deleted" in removal ? [removal.deleted] : []));
    return { removed, freedBytes: gone.reduce((sum, digest) => sum + (before.layerBytes[digest] ?? 0), 0) };
  }

  onEvent(listener: (event: ImageEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async prepareLayer(containerId: string, image: Image): Promise<WritableLayer> {
    const { folder, writable, options } = this.#parts;
    const record = folder.records.current.images.find((known) => known.id === image.id);
    if (record === undefined) throw new Error(`image ${image.id} is not here any more: pull it again`);
    folder.records.touch(record.id, options.clock.now());
    const lowerdir = folder.layers.lowerdir(record.layers);
    const rootfs = await writable.prepare(containerId, { imageId: record.id, lowerdir });
    return { rootfs, resolveUser: async (user) => await this.#resolveUser(record, user) };
  }

  async removeLayer(containerId: string): Promise<void> {
    this.#parts.writable.remove(containerId);
  }

  async listLayers(): Promise<readonly { readonly containerId: string; readonly imageId: string }[]> {
    return this.#parts.writable.list();
  }

  async collect(options: CollectOptions): Promise<{ readonly freedBytes: number; readonly images: readonly Image[] }> {
    const { folder, writable, trash } = this.#parts;
    const beforeMs = folder.clock.now() - (options.minAgeMs ?? minAgeMsDefault);
    let result: { freedBytes: number; images: readonly Image[] } = { freedBytes: 0, images: [] };
    await folder.records.change((current) => {
      const keep = new Set([...(options.keep ?? []), ...writable.list().map(({ imageId }) => imageId)]);
      const { ids, freedBytes } = planCollection(current, { bytes: options.bytes, beforeMs, keep });
      result = {
        freedBytes,
        images: current.images.filter(({ id }) => ids.has(id)).map((image) => toImage(current, image)),
      };
      return ids.size === 0 ? current : removeImages(current, ids);
    });
    this.#sweep();
    await trash.settle();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error("images are closed"));
    this.#http[Symbol.dispose]();
    await this.#parts.folder.records.change((current) => current);
    await this.#parts.trash.settle();
  }

  #record(reference: string): ImageRecord {
    const found = findImage(this.#parts.folder.records.current, reference);
    if (found === undefined) throw new NoSuchImageError(reference);
    return found.image;
  }

  async #details(record: ImageRecord): Promise<ImageDetails> {
    const { content, records } = this.#parts.folder;
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

  #sweep(): void {
    const { records, layers, content } = this.#parts.folder;
    const { images } = records.current;
    layers.sweep(new Set(images.flatMap((image) => image.layers)));
    content.sweep(new Set(images.flatMap((image) => image.blobs)));
  }

  async #resolveUser(record: ImageRecord, user: string) {
    const read = async (digest: string | undefined) => (digest === undefined ? "" : await this.#readUsers(digest));
    const [passwd, group] = await Promise.all([read(record.passwd), read(record.group)]);
    return resolveUser(user, { passwd, group });
  }

  // Read once: containers of one image start often.
  async #readUsers(digest: string): Promise<string> {
    const known = this.#users.get(digest);
    if (known !== undefined) return known;
    const text = (await this.#parts.folder.content.read(digest))?.toString() ?? "";
    if (this.#users.size >= usersMax) this.#users.clear();
    this.#users.set(digest, text);
    return text;
  }

  #registriesFor(host: string): readonly Registry[] {
    const known = this.#registries.get(host);
    if (known !== undefined) return known;
    const { clock, random, registries = {} } = this.#parts.options;
    const settings = registries[host] ?? {};
    const open = (name: string) =>
      new Registry({
        http: this.#http,
        clock,
        random,
        host: name,
        settings: registries[name] ?? (name === host ? {} : settings),
      });
    const opened = [...(settings.mirror ?? []), host].map(open);
    this.#registries.set(host, opened);
    return opened;
  }
}

function isPrunable(image: ImageDetails, { all, untilMs, matches }: PruneOptions): boolean {
  if (!all && image.tags.length + image.digests.length > 0) return false;
  if (untilMs !== undefined && Date.parse(image.created ?? "1970-01-01T00:00:00Z") >= untilMs) return false;
  return matches?.(image) ?? true;
}

// An image whose layer somebody took from the disk can't run: better it is pulled again.
async function dropBroken(records: RecordFile, layers: Layers, log: Logger): Promise<void> {
  const broken = records.current.images.filter((image) => !image.layers.every((layer) => layers.has(layer)));
  if (broken.length === 0) return;
  log.warn({ images: broken.map((image) => image.id) }, "images lack layers on the disk and are forgotten");
  await records.change((current) => removeImages(current, new Set(broken.map((image) => image.id))));
  layers.sweep(new Set(records.current.images.flatMap((image) => image.layers)));
}

async function isSameBoot(directory: string): Promise<boolean> {
  const path = join(directory, "boot-id");
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before !== boot) await writeFile(path, boot);
  return before === boot;
}
