// Images on a node: pulled, unpacked once per chain of layers, handed to containers as overlay mounts.
import type { Mount } from "../runtime/runtime.ts";
import type { Platform } from "./library.ts";

export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  /** "", "1000", "1000:1000", "www-data": resolved by `resolveUser`. */
  readonly user: string;
  readonly stopSignal: string | undefined;
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly healthcheck?: Healthcheck;
  /** Instructions of a Dockerfile for who builds upon it. */
  readonly onBuild?: readonly string[];
  /** Of RUN, CMD and ENTRYPOINT in shell form. */
  readonly shell?: readonly string[];
}

/** As Docker's images have it; times in nanoseconds, absent or 0: the default. */
export interface Healthcheck {
  /** ["NONE"], ["CMD", …], ["CMD-SHELL", line]; empty: as the image below has it. */
  readonly test: readonly string[];
  readonly intervalNs?: number;
  readonly timeoutNs?: number;
  readonly startPeriodNs?: number;
  readonly startIntervalNs?: number;
  readonly retries?: number;
}

export interface Image {
  /** Digest of its config: "sha256:…". */
  readonly id: string;
  /** "docker.io/library/nginx:1.27", … */
  readonly tags: readonly string[];
  /** "docker.io/library/nginx@sha256:…", … */
  readonly digests: readonly string[];
  readonly sizeBytes: number;
  readonly config: ImageConfig;
}

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

export interface PullOptions {
  /** Tried in order; anonymous when empty. */
  readonly credentials: readonly RegistryCredentials[];
  readonly onProgress?: (progress: PullProgress) => void;
  readonly signal?: AbortSignal;
  /** From the registry itself, not through another node: what a node does for its peers. */
  readonly direct?: boolean;
  /** Of an image for several; absent: this machine's. */
  readonly platform?: Platform | undefined;
}

export type PullProgress =
  | { readonly type: "resolved"; readonly digest: string; readonly layers: number }
  | {
      readonly type: "layer";
      readonly digest: string;
      readonly state: "exists" | "downloading" | "unpacked";
      readonly doneBytes: number;
      readonly totalBytes: number;
    };

/** What a pull can fail with; the agent turns it into pod reasons. */
export type PullFailure =
  | "InvalidImageName"
  | "NotFound"
  | "Denied"
  | "RegistryUnavailable"
  | "WrongDigest"
  | "BadLayer"
  | "NoSpace"
  | "NoMatchingPlatform"
  | "BadSignature";

export class PullError extends Error {
  readonly failure: PullFailure;

  constructor(failure: PullFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PullError";
    this.failure = failure;
  }
}

export interface WritableLayer {
  /** The overlay that becomes a container's "/". */
  readonly rootfs: Mount;
  resolveUser(
    user: string,
  ): Promise<{ readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }>;
  /** The user's folder, as the image's passwd has it. */
  homeOf(user: string): Promise<string>;
}

export interface LayerOptions {
  /** What is written survives a crash of the machine: for containers that are stopped, started and committed. Slower to start. */
  readonly durable?: boolean;
}

export interface Images {
  /** The image by name, tag, digest or id, when it is here. */
  find(reference: string): Promise<Image | undefined>;
  list(): Promise<readonly Image[]>;
  /** Concurrent pulls of the same thing share the work. */
  pull(reference: string, options: PullOptions): Promise<Image>;
  /** Reads an OCI layout or `docker save` archive (tar); gives what it held. */
  import(
    archive: NodeJS.ReadableStream,
    options?: { readonly tag?: string; readonly signal?: AbortSignal },
  ): Promise<readonly Image[]>;
  /** Removes a tag, and the image with its unshared layers when that was the last one. Refuses when containers use it. */
  remove(reference: string): Promise<void>;
  /** A fresh writable layer for a container; the same one again for the same container id. */
  prepareLayer(containerId: string, image: Image, options?: LayerOptions): Promise<WritableLayer>;
  removeLayer(containerId: string): Promise<void>;
  /** The folder that holds what a container has written; undefined for one without a layer. */
  layerPath(containerId: string): string | undefined;
}

/** What a node's agent needs besides: which layers are left over, and room on a full disk. */
export interface ImageStore extends Images {
  /** Containers that have a writable layer, also from before a restart. */
  listLayers(): Promise<readonly { readonly containerId: string; readonly imageId: string }[]>;
  /** Removes images that no container uses, those not used for longest first, until `bytes` are freed or none is left. */
  collect(options: CollectOptions): Promise<{ readonly freedBytes: number; readonly images: readonly Image[] }>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CollectOptions {
  readonly bytes: number;
  /** Images used within this time stay, so that one just pulled is there when its container is made. Default 120,000. */
  readonly minAgeMs?: number;
  /** The same of images that no registry is known to have, built, committed or loaded here. Default 3,600,000. */
  readonly ownMinAgeMs?: number;
  /** Ids of images that stay. */
  readonly keep?: ReadonlySet<string>;
}

/** A removal that would take an image from containers that use it. */
export class ImageInUseError extends Error {
  readonly containerIds: readonly string[];

  constructor(message: string, containerIds: readonly string[]) {
    super(message);
    this.name = "ImageInUseError";
    this.containerIds = containerIds;
  }
}
