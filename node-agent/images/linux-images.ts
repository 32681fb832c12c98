import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import {
  blobsInUse,
  cacheOnlyBytes,
  findImage,
  layersInUse,
  planCachePruning,
  planCollection,
  removeImages,
  toImage,
} from "./changes.ts";
import type { ClusterPeers } from "./cluster-peers.ts";
import type { Folder } from "./commit.ts";
import { HttpClient } from "./http.ts";
import { ImageDoor } from "./image-door.ts";
import {
  type CollectOptions,
  type Image,
  type ImageStore,
  type LayerOptions,
  PullError,
  type PullFailure,
  type PullOptions,
  type PullProgress,
  type RegistryCredentials,
  type WritableLayer,
} from "./images.ts";
import { importArchive } from "./import.ts";
import { platformName } from "./manifest.ts";
import type { WritableLayers } from "./overlay.ts";
import { ownCredentials } from "./own-credentials.ts";
import { PeerRegistries } from "./peer-registries.ts";
import { pullImage } from "./pull.ts";
import { PushedImages } from "./pushed-images.ts";
import type { ImageRecord } from "./records.ts";
import { clusterRegistry, formatReference, parseReference, type Reference } from "./reference.ts";
import { Registry, type RegistrySettings } from "./registry.ts";
import { planRemoval } from "./removal.ts";
import { SharedWork } from "./share.ts";
import type { Trash } from "./trash.ts";
import type { LayerLimits } from "./unpack.ts";
import type { Uploads } from "./uploads.ts";
import { homeOf, resolveUser } from "./users.ts";

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
  /** The cluster's other nodes. */
  readonly peers?: ClusterPeers;
}

const minAgeMsDefault = 120_000;
/** Of images that were built, committed or loaded here, and may be nowhere else: time to use them, or to push them. */
const ownMinAgeMs = 3600_000;
const usersMax = 200;
/** What a registry says of an image that only the cluster may have. */
const searchedAfter: readonly PullFailure[] = ["NotFound", "Denied", "RegistryUnavailable"];

export interface Parts {
  readonly options: ImagesOptions;
  readonly folder: Folder;
  readonly trash: Trash;
  readonly writable: WritableLayers;
  readonly runDirectory: string;
  readonly uploads: Uploads;
}

export class LinuxImages implements ImageStore {
  protected readonly parts: Parts;
  readonly #http: HttpClient;
  readonly #registries = new Map<string, readonly Registry[]>();
  readonly #pulls = new SharedWork<Image, PullProgress>((progress) =>
    progress.type === "layer" ? progress.digest : "",
  );
  /** Texts of passwd and group by digest. */
  readonly #users = new Map<string, string>();
  protected readonly stopped = new AbortController();

  /** What other nodes of the cluster may have of this one. */
  readonly door: ImageDoor;
  /** This node as a registry. */
  readonly pushed: PushedImages;
  protected readonly peers: PeerRegistries | undefined;

  constructor(parts: Parts) {
    this.parts = parts;
    const { clock, random, peers } = parts.options;
    this.#http = new HttpClient(clock);
    this.peers = peers && new PeerRegistries(peers, { http: this.#http, clock, random });
    const { folder, uploads, writable } = parts;
    const signatureKeys = parts.options.registries?.[clusterRegistry]?.signatureKeys ?? [];
    this.pushed = new PushedImages({ folder, uploads, writable, sweep: () => this.sweep(), signatureKeys });
    this.door = new ImageDoor({ folder: parts.folder, pull: (reference, options) => this.pull(reference, options) });
  }

  async find(reference: string): Promise<Image | undefined> {
    const { current } = this.parts.folder.records;
    const found = findImage(current, reference);
    return found && toImage(current, found.image);
  }

  async list(): Promise<readonly Image[]> {
    const { current } = this.parts.folder.records;
    return current.images.map((image) => toImage(current, image));
  }

  async pull(text: string, options: PullOptions): Promise<Image> {
    const reference = parseReference(text);
    return await this.#pullAs(text, reference, {
      ...options,
      credentials: await this.credentialsFor(reference.registry, options.credentials),
    });
  }

  /** Those that were given, then the node's own. */
  protected async credentialsFor(
    host: string,
    given: readonly RegistryCredentials[],
  ): Promise<readonly RegistryCredentials[]> {
    const settings = this.parts.options.registries?.[host];
    return settings === undefined ? given : [...given, ...(await ownCredentials(host, settings))];
  }

  async #pullAs(text: string, reference: Reference, options: PullOptions): Promise<Image> {
    const { peers } = this;
    if (this.pushed.isUnsigned(reference) && (await this.find(text)) === undefined) {
      const why = "was pushed to this node, which asks for a signature: none of the keys that it knows signed it";
      throw new PullError("BadSignature", `${text} ${why}`);
    }
    // Another node fetches for all what they can run.
    if (peers === undefined || options.direct === true || options.platform !== undefined)
      return await this.#pullFrom({}, reference, options);
    try {
      if (reference.registry === clusterRegistry)
        throw new PullError("NotFound", `no node of the cluster has ${text}: build, load or push it first`);
      const first = peers.owner(reference, options.credentials);
      return await this.#pullFrom(first === undefined ? {} : { first }, reference, options);
    } catch (error) {
      if (!(error instanceof PullError && searchedAfter.includes(error.failure))) throw error;
      const found = await peers.find(reference, options.signal ?? this.stopped.signal);
      const own = await this.#own(reference);
      if (own !== undefined && (found?.sinceMs ?? 0) <= own.sinceMs) return own.image;
      if (found === undefined) throw error;
      return await this.#pullFrom({ only: found.registry }, reference, options);
    }
  }

  // What was built, loaded or pushed here, and is perhaps the newest of its name.
  async #own(reference: Reference): Promise<{ readonly image: Image; readonly sinceMs: number } | undefined> {
    if (reference.registry !== clusterRegistry) return undefined;
    // Whose signatures are asked for are verified by pulls.
    if ((this.parts.options.registries?.[clusterRegistry]?.signatureKeys ?? []).length > 0) return undefined;
    const image = await this.find(formatReference(reference));
    const given = image && (await this.door.manifest(reference));
    return image && given && { image, sinceMs: given.sinceMs };
  }

  async #pullFrom(
    from: { readonly first?: Registry; readonly only?: Registry },
    reference: Reference,
    { credentials, onProgress, signal, platform }: PullOptions,
  ): Promise<Image> {
    // Other credentials are other work: nobody gets an image on another's password.
    const key = JSON.stringify([
      formatReference(reference),
      from.first?.host,
      from.only?.host,
      platform === undefined ? "" : platformName(platform),
      credentials.map(({ username, password }) => [username, password]),
    ]);
    const context = {
      folder: this.parts.folder,
      registriesFor: (host: string) => this.registriesFor(host),
      door: this.door,
      signatureKeys: (host: string) => this.parts.options.registries?.[host]?.signatureKeys ?? [],
    };
    return await this.#pulls.join(
      key,
      (report, own) =>
        pullImage(context, reference, {
          ...from,
          credentials,
          platform,
          report,
          signal: AbortSignal.any([own, this.stopped.signal]),
        }),
      { onProgress, signal },
    );
  }

  async import(
    archive: NodeJS.ReadableStream,
    options: { readonly tag?: string; readonly signal?: AbortSignal } = {},
  ): Promise<readonly Image[]> {
    const { folder, trash, options: own } = this.parts;
    const signal =
      options.signal === undefined ? this.stopped.signal : AbortSignal.any([options.signal, this.stopped.signal]);
    return await importArchive({ folder, trash, random: own.random }, archive as AsyncIterable<Uint8Array>, {
      tag: options.tag,
      signal,
    });
  }

  async remove(reference: string): Promise<void> {
    const { folder, writable } = this.parts;
    await folder.records.change(
      (current) => planRemoval(current, reference, { usersOf: (id) => writable.usersOf(id) }).records,
    );
    this.sweep();
  }

  async prepareLayer(
    containerId: string,
    image: Image,
    { durable = false }: LayerOptions = {},
  ): Promise<WritableLayer> {
    const { folder, writable, options } = this.parts;
    const record = folder.records.current.images.find((known) => known.id === image.id);
    if (record === undefined) throw new Error(`image ${image.id} is not here any more: pull it again`);
    folder.records.touch(record.id, options.clock.now());
    const lowerdir = folder.layers.lowerdir(record.layers);
    const rootfs = await writable.prepare(containerId, { imageId: record.id, lowerdir, durable });
    return {
      rootfs,
      resolveUser: async (user) => await this.#resolveUser(record, user),
      homeOf: async (user) => homeOf(user, record.passwd === undefined ? "" : await this.#readUsers(record.passwd)),
    };
  }

  async removeLayer(containerId: string): Promise<void> {
    this.parts.writable.remove(containerId);
  }

  layerPath(containerId: string): string | undefined {
    const { writable } = this.parts;
    return writable.imageOf(containerId) === undefined ? undefined : join(writable.folderOf(containerId), "upper");
  }

  async listLayers(): Promise<readonly { readonly containerId: string; readonly imageId: string }[]> {
    return this.parts.writable.list();
  }

  async collect(options: CollectOptions): Promise<{ readonly freedBytes: number; readonly images: readonly Image[] }> {
    const { folder, writable, trash } = this.parts;
    await folder.downloads.clear();
    const { minAgeMs = minAgeMsDefault } = options;
    const beforeMs = folder.clock.now() - minAgeMs;
    const ownBeforeMs = folder.clock.now() - Math.max(minAgeMs, options.ownMinAgeMs ?? ownMinAgeMs);
    let result: { freedBytes: number; images: readonly Image[] } = { freedBytes: 0, images: [] };
    await folder.records.change((current) => {
      const keep = new Set([...(options.keep ?? []), ...writable.list().map(({ imageId }) => imageId)]);
      // What builds can make again goes first.
      const lean = planCachePruning(current, Math.max(0, cacheOnlyBytes(current) - options.bytes));
      const ofCache = cacheOnlyBytes(current) - cacheOnlyBytes(lean);
      const { ids, freedBytes } = planCollection(lean, { bytes: options.bytes - ofCache, beforeMs, ownBeforeMs, keep });
      result = {
        freedBytes: freedBytes + ofCache,
        images: current.images.filter(({ id }) => ids.has(id)).map((image) => toImage(current, image)),
      };
      return ids.size === 0 ? (ofCache === 0 ? current : lean) : removeImages(lean, ids);
    });
    this.sweep();
    await trash.settle();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopped.abort(new Error("images are closed"));
    this.pushed[Symbol.dispose]();
    this.#http[Symbol.dispose]();
    await this.parts.folder.records.change((current) => current);
    await this.parts.folder.disk.settle();
    await this.parts.trash.settle();
  }

  protected sweep(): void {
    const { records, layers, content } = this.parts.folder;
    layers.sweep(layersInUse(records.current));
    content.sweep(new Set([...blobsInUse(records.current), ...this.pushed.waiting()]));
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
    const text = (await this.parts.folder.content.read(digest))?.toString() ?? "";
    if (this.#users.size >= usersMax) this.#users.clear();
    this.#users.set(digest, text);
    return text;
  }

  protected registriesFor(host: string): readonly Registry[] {
    const known = this.#registries.get(host);
    if (known !== undefined) return known;
    const { clock, random, registries = {} } = this.parts.options;
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
