// What people do with images beyond running them: name, look into, build upon, save, load, push, tidy. `openImages` gives it on Linux;
// the Docker API, `naru image` and the builder stand on it. References are Docker's: name, name:tag, name@digest, id, start of an id.

import type { Image, ImageConfig, ImageStore, RegistryCredentials } from "./images.ts";
import type { Workshop } from "./workshop.ts";

export interface ImageLibrary extends ImageStore {
  /** Gives an image a further name; the image that had the name before loses it. Throws NoSuchImageError; PullError("InvalidImageName"). */
  tag(reference: string, name: string): Promise<Image>;
  /**
   * `docker rmi`: takes a name, and the image with the layers that no other image has when it was the last. An id with several
   * repositories' names takes `force`. Throws NoSuchImageError, ImageConflictError (several names), ImageInUseError: with `force` only
   * running containers (`running`, ids) keep an image that stopped ones have been made of; its layers stay as long as those do.
   */
  removeImage(reference: string, options?: RemoveOptions): Promise<readonly Removal[]>;
  /** All there is to know. Throws NoSuchImageError. */
  inspect(reference: string): Promise<ImageDetails>;
  /** Newest first, as `docker history`. Throws NoSuchImageError. */
  history(reference: string): Promise<readonly HistoryLine[]>;
  /**
   * A tar of images: for `docker load` and OCI tools alike (an OCI layout with docker's manifest.json beside it), or an OCI layout only. A
   * name without tag means all its tags. Rejects with NoSuchImageError before the first byte; the stream fails when a layer is
   * damaged. Read back by `import`.
   */
  save(references: readonly string[], options?: SaveOptions): Promise<NodeJS.ReadableStream>;
  /** `docker import`: a root file system (tar; gzip and zstd are seen) becomes an image of one layer. Throws PullError("BadLayer"). */
  importTar(tar: AsyncIterable<Uint8Array>, options: ImportTarOptions): Promise<Image>;
  /** `docker commit`: the image of a container and what it changed. Throws NoSuchLayerError, PullError("NoSpace"). */
  commit(containerId: string, options: CommitOptions): Promise<Image>;
  /** `docker diff`, by path. Throws NoSuchLayerError. */
  changes(containerId: string): Promise<readonly Change[]>;
  /** `docker export`: a tar of all that the container sees, its mounts left out. Throws NoSuchLayerError. */
  exportRoot(containerId: string, signal?: AbortSignal): Promise<NodeJS.ReadableStream>;
  /** `docker cp`: what lies at a path, seen from the container's root; undefined when nothing does. Throws NoSuchLayerError. */
  statPath(root: ContainerRoot, path: string): Promise<PathStat | undefined>;
  /** A tar of the file or directory at a path; its entries begin with the path's last name. Rejects with NoSuchPathError. */
  readPath(root: ContainerRoot, path: string, signal?: AbortSignal): Promise<NodeJS.ReadableStream>;
  /** Unpacks a tar into the directory at a path. Rejects with NoSuchPathError, PullError("BadLayer"). */
  writePath(root: ContainerRoot, path: string, options: WritePathOptions): Promise<void>;
  /**
   * Sends what the registry lacks; layers that another repository of it has are mounted from there. A name without tag is `latest`.
   * Rejects with NoSuchImageError, PushError, or the signal's reason. An image pulled from an index is pushed as this machine's alone.
   */
  push(reference: string, options: PushOptions): Promise<{ readonly digest: string; readonly sizeBytes: number }>;
  /** Checks a user's name and password with a registry ("" is Docker Hub). Rejects with PushError. */
  login(registry: string, credentials: RegistryCredentials, signal?: AbortSignal): Promise<void>;
  /** Names by a word, as far as the registry ("" is Docker Hub) offers a search. Rejects with PullError. */
  search(term: string, options: SearchOptions): Promise<readonly FoundImage[]>;
  /** The tags that its registry has of a repository. Rejects with PullError. */
  listTags(repository: string, options: LookUpOptions): Promise<readonly string[]>;
  /** What a name stands for at its registry now; nothing is pulled. Rejects with PullError. */
  lookUp(reference: string, options: LookUpOptions): Promise<LookedUp>;
  /** Removes images that no container uses: those without a tag, or `all`. Never rejects for one that is in use. */
  prune(options: PruneOptions): Promise<{ readonly removed: readonly Removal[]; readonly freedBytes: number }>;
  /** `docker system df`: bytes on the disk, each layer counted once. */
  usage(): Promise<DiskUsage>;
  /** For the builder. */
  workshop(): Workshop;
  /** Hears of pulls, tags, removals and the like, for `docker events`; the disposable ends it. */
  onEvent(listener: (event: ImageEvent) => void): Disposable;
}

export interface ImageEvent {
  readonly action: "pull" | "push" | "tag" | "untag" | "delete" | "import" | "load" | "save";
  /** Id of the image; for pull, push and save the reference. */
  readonly id: string;
  readonly name?: string;
}

export interface RemoveOptions {
  readonly force?: boolean;
  /** Containers that run: their image stays even with `force`. Default: all that have a layer. */
  readonly running?: ReadonlySet<string>;
}

/** In the order in which it happened. */
export type Removal = { readonly untagged: string } | { readonly deleted: string };

export interface Platform {
  readonly os: string;
  /** As Go says it: "amd64", "arm64". */
  readonly architecture: string;
  readonly variant?: string;
}

export interface ImageDetails extends Image {
  readonly platform: Platform;
  /** RFC 3339; undefined when the image does not say. */
  readonly created: string | undefined;
  readonly author: string;
  /** The newest line's of its history. */
  readonly comment: string;
  /** Lowest first. */
  readonly layers: readonly { readonly diffId: string; readonly sizeBytes: number }[];
  /** Of the manifest that it was pulled or pushed with. */
  readonly manifestDigest: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly usedAtMs: number;
  /** Its config as it is: the image specification's JSON, with all that `config` leaves out. */
  readonly raw: Readonly<Record<string, unknown>>;
}

export interface HistoryLine {
  /** Only the newest has it. */
  readonly id: string | undefined;
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly comment: string;
  readonly tags: readonly string[];
  readonly sizeBytes: number;
}

export interface SaveOptions {
  /** Default "docker": both. */
  readonly format?: "docker" | "oci";
  readonly signal?: AbortSignal;
}

export interface ImportTarOptions {
  readonly tag?: string;
  readonly config?: Partial<ImageConfig>;
  readonly comment?: string;
  readonly platform?: Platform;
  readonly signal?: AbortSignal;
}

export interface CommitOptions {
  readonly tag?: string;
  /** What differs from the config of the container's image. */
  readonly config?: Partial<ImageConfig>;
  readonly author?: string;
  readonly comment?: string;
  /** The history's line, such as the container's command. */
  readonly createdBy?: string;
  readonly signal?: AbortSignal;
}

export interface Change {
  readonly path: string;
  readonly kind: "modified" | "added" | "deleted";
}

/** A stopped container's files, or a running one's with its mounts: then give its first process. */
export interface ContainerRoot {
  readonly containerId: string;
  readonly pid?: number;
  /** A folder of the node instead, and the last name of its place in the container: of a mount, while nothing runs. */
  readonly mount?: { readonly directory: string; readonly name: string };
}

export interface PathStat {
  readonly name: string;
  readonly sizeBytes: number;
  /** st_mode: kind and permissions. */
  readonly mode: number;
  readonly mtimeMs: number;
  /** Of a symlink, else "". */
  readonly linkTarget: string;
}

export interface WritePathOptions {
  readonly tar: AsyncIterable<Uint8Array>;
  /** A directory never takes a file's place, nor a file a directory's. */
  readonly keepKinds?: boolean;
  /** Of all that is written; absent: the numbers of the tar. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly signal?: AbortSignal;
}

export interface PushOptions {
  /** Tried in order; anonymous when empty. */
  readonly credentials: readonly RegistryCredentials[];
  /** Of layers that were made here; those that were pulled stay as they came. Default "gzip". */
  readonly compression?: "gzip" | "zstd";
  readonly onProgress?: (progress: PushProgress) => void;
  readonly signal?: AbortSignal;
}

/** `diffId` names the layer before its compressed form is known. */
export interface PushProgress {
  readonly diffId: string;
  readonly state: "preparing" | "exists" | "mounted" | "uploading" | "pushed";
  readonly from?: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface SearchOptions {
  readonly registry?: string;
  /** Default 25. */
  readonly limit?: number;
  readonly credentials?: RegistryCredentials;
  readonly signal?: AbortSignal;
}

export interface LookUpOptions {
  /** Tried in order, then the node's own. */
  readonly credentials: readonly RegistryCredentials[];
  readonly signal?: AbortSignal;
}

/** Of an index or of a manifest. */
export interface LookedUp {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly platforms: readonly Platform[];
}

export interface FoundImage {
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly isOfficial: boolean;
}

export interface PruneOptions {
  /** Also those that have tags. */
  readonly all: boolean;
  /** Only those made before. */
  readonly untilMs?: number;
  /** Only those it is true of, such as of their labels. */
  readonly matches?: (image: ImageDetails) => boolean;
}

export interface DiskUsage {
  readonly images: readonly {
    readonly image: Image;
    /** Of layers that other images have too. */
    readonly sharedBytes: number;
    readonly containerIds: readonly string[];
  }[];
  /** All layers, each once. */
  readonly layerBytes: number;
  /** Compressed layers, kept for pushes, saves and other nodes. */
  readonly blobBytes: number;
  readonly containers: readonly { readonly containerId: string; readonly writableBytes: number }[];
}

export type PushFailure = "InvalidImageName" | "Denied" | "RegistryUnavailable" | "Refused" | "BadLayer";

export class PushError extends Error {
  readonly failure: PushFailure;

  constructor(failure: PushFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PushError";
    this.failure = failure;
  }
}

export class NoSuchImageError extends Error {
  constructor(reference: string) {
    super(`no such image: ${reference}`);
    this.name = "NoSuchImageError";
  }
}

/** A removal that could mean several things, or would take more than was named. */
export class ImageConflictError extends Error {
  override readonly name = "ImageConflictError";
}

/** A container that has no writable layer here. */
export class NoSuchLayerError extends Error {
  constructor(containerId: string) {
    super(`no such container: ${containerId} has no files here`);
    this.name = "NoSuchLayerError";
  }
}

export class NoSuchPathError extends Error {
  constructor(path: string, containerId: string) {
    super(`could not find the file ${path} in container ${containerId}`);
    this.name = "NoSuchPathError";
  }
}
