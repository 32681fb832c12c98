// The builder's face: images from Dockerfiles, for `naru build` and the Docker API alike. `openBuilder` gives it on Linux.
import type { Image, RegistryCredentials } from "../images/images.ts";
import type { Platform } from "../images/library.ts";
import { ownSandboxPrefix } from "../runtime/runtime.ts";

export interface Builder {
  /**
   * Builds what a Dockerfile says of a context. Rejects with DockerfileError (it does not parse, or asks for what cannot be), StepError
   * (a step failed), PullError (an image cannot be had) or the signal's reason; nothing half-made is left then, and what was
   * finished is found again by the next build.
   */
  build(
    context: BuildContext,
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    signal?: AbortSignal,
  ): Promise<BuildResult>;
  /** Forgets what steps made, those not used for longest first, but for `keepBytes` and what was used since; with `all` also what
   *  cache mounts hold. */
  prune(options: PruneOptions): Promise<{ readonly freedBytes: number }>;
  /** Bytes that steps' results take which no image has. */
  usage(): Promise<{ readonly entries: number; readonly bytes: number }>;
}

export interface PruneOptions {
  readonly keepBytes?: number;
  readonly usedSinceMs?: number;
  readonly all?: boolean;
}

/** A tar may be compressed with gzip, zstd, xz or bzip2. A folder is read where it is and must not change meanwhile. */
export type BuildContext =
  | { readonly type: "folder"; readonly path: string }
  | { readonly type: "tar"; readonly stream: AsyncIterable<Uint8Array> };

export interface BuildOptions {
  /** Path within the context; default "Dockerfile". */
  readonly dockerfile?: string;
  /** What messages call it, when that is not its path. */
  readonly dockerfileShown?: string;
  /** The Dockerfile itself, when it lies outside of the context. */
  readonly dockerfileText?: string;
  /** Name or number of the last stage to build; default the last one. */
  readonly target?: string;
  readonly tags?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** By id, for RUN --mount=type=secret. Never part of an image or of the cache. */
  readonly secrets?: Readonly<Record<string, Uint8Array>>;
  readonly noCache?: boolean;
  /** Asks registries for images that are here too. */
  readonly pull?: boolean;
  readonly platform?: Platform;
  /** Of RUN steps that do not say otherwise. "default": a network of their own that reaches out, as far as the node has one to give. */
  readonly network?: "default" | "none" | "host";
  /** "name:address", for RUN steps. */
  readonly extraHosts?: readonly string[];
  readonly shmBytes?: number;
  /** Seconds since the epoch: no file of a new layer is younger, and all that is dated has this date. Default: the build argument. */
  readonly sourceDateEpoch?: number;
  /** Images whose notes of steps' results are used: names, pulled when they are not here. */
  readonly cacheFrom?: readonly string[];
  /** Makes an image under this name of the steps' results; pushed like any other. */
  readonly cacheTo?: string;
  /** Tried in order with the registry's host. */
  readonly credentials?: (registry: string) => readonly RegistryCredentials[];
}

export interface BuildResult {
  readonly image: Image;
  readonly steps: number;
  readonly cached: number;
}

export type BuildEvent =
  /** `id` names the step in the events that follow; "[build 2/5] RUN make". */
  | { readonly type: "step"; readonly id: number; readonly name: string; readonly state: "started" | "cached" }
  | { readonly type: "step"; readonly id: number; readonly name: string; readonly state: "done"; readonly ms: number }
  | {
      readonly type: "step";
      readonly id: number;
      readonly name: string;
      readonly state: "failed";
      readonly ms: number;
      readonly error: string;
    }
  | { readonly type: "output"; readonly id: number; readonly stream: "stdout" | "stderr"; readonly data: Buffer }
  /** How far a step is: a pull's layers, a download. */
  | {
      readonly type: "progress";
      readonly id: number;
      readonly what: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | { readonly type: "warning"; readonly text: string; readonly line?: number }
  | { readonly type: "image"; readonly image: Image };

/** Where something stands in a Dockerfile; from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A Dockerfile that cannot be built; the message begins with "Dockerfile:3:7: ". */
export class DockerfileError extends Error {
  readonly position: Position;

  constructor(message: string, file: string, position: Position) {
    super(`${file}:${position.line}:${position.column}: ${message}`);
    this.name = "DockerfileError";
    this.position = position;
  }
}

/** A step that failed; the message shows its line of the Dockerfile. */
export class StepError extends Error {
  readonly position: Position;
  /** Of a RUN's command. */
  readonly exitCode: number | undefined;

  constructor(
    message: string,
    details: ErrorOptions & { readonly position: Position; readonly exitCode: number | undefined },
  ) {
    super(message, details);
    this.name = "StepError";
    this.position = details.position;
    this.exitCode = details.exitCode;
  }
}

/** Marks containers of builds, so that those of a killed agent are found; and their sandboxes. */
export const buildLabel = "naru.build";
export const buildSandboxPrefix = `${ownSandboxPrefix}build-`;
