// The unpacked layers of a node: layers/<hex of diff id>, each once for all images. A layer is unpacked aside and gets its name
// when it is whole. Overlay mounts name layers through short links, since the kernel reads one page of options.
import { mkdirSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { nameSuffix, type Random } from "../../lib/random.ts";
import type { Incoming } from "./downloads.ts";
import { okWords, runHelper } from "./helper.ts";
import { PullError } from "./images.ts";
import { Limit, SharedWork } from "./share.ts";
import type { Trash } from "./trash.ts";
import { type LayerLimits, type LayerSource, unpackLayer } from "./unpack.ts";

export type LayerProgress = { readonly state: "downloading" | "unpacked"; readonly doneBytes: number };

export interface WantedLayer {
  readonly diffId: string;
  readonly digest?: string;
  /** Another node of the cluster gives it, which may have to fetch it first. */
  readonly fromPeer?: boolean;
  /** The layer's bytes as they come from the registry or an archive. */
  open(signal: AbortSignal): Promise<Incoming>;
}

export interface AdoptedLayer extends Disposable {
  readonly diffId: string;
  readonly bytes: number;
}

interface PresentLayer {
  /** Name of its link. */
  readonly link: string;
  readonly bytes: number;
}

const unpacksMax = 4;
const progressBytes = 512 * 1024;

export class Layers {
  readonly #directory: string;
  readonly #links: string;
  readonly #trash: Trash;
  readonly #random: Random;
  readonly #limits: LayerLimits;
  readonly #present = new Map<string, PresentLayer>();
  readonly #held = new Map<string, number>();
  readonly #works = new SharedWork<number, LayerProgress>(() => "");
  readonly #limit = new Limit(unpacksMax);
  // Two nodes that wait for each other's layers must still fetch their own: what comes from a node takes no other's place.
  readonly #peerLimit = new Limit(unpacksMax);
  #nextLink = 0;

  constructor(options: {
    readonly directory: string;
    readonly links: string;
    readonly trash: Trash;
    readonly random: Random;
    readonly limits: LayerLimits;
  }) {
    this.#directory = options.directory;
    this.#links = options.links;
    this.#trash = options.trash;
    this.#random = options.random;
    this.#limits = options.limits;
  }

  /** Takes up the layers that images name; all others, which no image was finished for, go. */
  async open(layerBytes: Readonly<Record<string, number>>): Promise<void> {
    await mkdir(this.#path(""), { recursive: true });
    // Not to the trash, which may be on another file system than these few symlinks.
    await rm(this.#links, { recursive: true, force: true });
    await mkdir(this.#links, { recursive: true });
    // What a scratch image without layers stands on.
    await mkdir(join(this.#directory, "empty"), { recursive: true });
    for (const name of await readdir(this.#path(""))) {
      const bytes = layerBytes[`sha256:${name}`];
      if (bytes === undefined) this.#trash.take(this.#path(name));
      else this.#add(`sha256:${name}`, bytes);
    }
  }

  has(diffId: string): boolean {
    return this.#present.has(diffId);
  }

  bytes(diffId: string): number {
    return this.#present.get(diffId)?.bytes ?? 0;
  }

  /** Layers that are held are not swept; for the time between their unpacking and the image that names them. */
  hold(diffIds: readonly string[]): Disposable {
    for (const diffId of diffIds) this.#held.set(diffId, (this.#held.get(diffId) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        for (const diffId of diffIds) {
          const left = (this.#held.get(diffId) ?? 1) - 1;
          if (left === 0) this.#held.delete(diffId);
          else this.#held.set(diffId, left);
        }
      },
    };
  }

  /** Makes a layer present; who asks at the same time shares the work. */
  async ensure(
    layer: WantedLayer,
    caller: { readonly onProgress?: (progress: LayerProgress) => void; readonly signal?: AbortSignal | undefined },
  ): Promise<void> {
    while (!this.has(layer.diffId)) {
      const joined = this.#works.has(layer.diffId);
      try {
        await this.#works.join(layer.diffId, (report, signal) => this.#unpack(layer, report, signal), caller);
      } catch (error) {
        // Another's source failed, such as another registry; ours may do.
        if (!joined || caller.signal?.aborted === true) throw error;
      }
    }
  }

  /** The overlay option for a chain of layers, lowest first, as absolute links. */
  lowerdir(diffIds: readonly string[]): string {
    if (diffIds.length === 0) return join(this.#directory, "empty");
    return this.#linkNames(diffIds)
      .map((link) => join(this.#links, link))
      .join(":");
  }

  /** Reads plain files of an image as a container would see them; undefined where there is none. */
  async readFiles(diffIds: readonly string[], paths: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    if (diffIds.length === 0) return paths.map(() => undefined);
    return splitFiles(await runHelper(["files", this.root(diffIds), ...paths]), paths.length);
  }

  /** The chain of layers as a root of naru-unpack; `over` takes what is written. */
  root(diffIds: readonly string[], over?: { readonly upper: string; readonly work: string }): string {
    const empty = join(this.#directory, "empty");
    // What a container of an image without layers stands on.
    const names = diffIds.length === 0 ? [empty] : this.#linkNames(diffIds);
    const kind = over === undefined ? ["layers"] : ["over"];
    const written = over === undefined ? [] : [over.upper, over.work];
    return [...kind, this.#links, ...written, ...names].join(":");
  }

  /** The same below a directory of changes, all to be read. */
  rootWith(diffIds: readonly string[], upper: string): string {
    const names = diffIds.length === 0 ? [join(this.#directory, "empty")] : this.#linkNames(diffIds);
    return ["layers", this.#links, upper, ...names].join(":");
  }

  /** Where a layer's files are, as overlayfs wants them. */
  path(diffId: string): string {
    return this.#path(diffId.slice("sha256:".length));
  }

  /**
   * Makes a directory of changes, as overlayfs leaves it, a layer; it is held until disposed. Files younger than `timeMaxSeconds`
   * become that old; empty files and directories at `stubs` go.
   */
  async adopt(
    directory: string,
    options: { readonly timeMaxSeconds?: number | undefined; readonly stubs?: readonly string[] } = {},
  ): Promise<AdoptedLayer> {
    const { timeMaxSeconds = -1, stubs = [] } = options;
    const output = await runHelper(["hash-layer", `dir:${directory}`, String(timeMaxSeconds)], stubs);
    const [hex = "", size] = okWords(output);
    const diffId = `sha256:${hex}`;
    const held = this.hold([diffId]);
    try {
      if (this.has(diffId)) {
        this.#trash.take(directory);
      } else {
        renameSync(directory, this.#path(hex));
        this.#add(diffId, Number(size));
      }
    } catch (error) {
      held[Symbol.dispose]();
      throw noSpace(error);
    }
    return { diffId, bytes: this.bytes(diffId), [Symbol.dispose]: () => held[Symbol.dispose]() };
  }

  /** Removes the layers that neither `keep` names nor anybody holds. */
  sweep(keep: ReadonlySet<string>): void {
    for (const [diffId, { link }] of this.#present) {
      if (keep.has(diffId) || this.#held.has(diffId)) continue;
      this.#present.delete(diffId);
      unlinkSync(join(this.#links, link));
      this.#trash.take(this.#path(diffId.slice("sha256:".length)));
    }
  }

  // Top first, each layer once: where one comes twice, only its upper place shows.
  #linkNames(diffIds: readonly string[]): readonly string[] {
    return [...new Set(diffIds.toReversed())].map((diffId) => {
      const layer = this.#present.get(diffId);
      if (layer === undefined)
        throw new Error(`layer ${diffId} is gone from the disk: remove its image and pull it again`);
      return layer.link;
    });
  }

  async #unpack(layer: WantedLayer, report: (progress: LayerProgress) => void, signal: AbortSignal): Promise<number> {
    const limit = layer.fromPeer === true ? this.#peerLimit : this.#limit;
    return await limit.run(async () => {
      signal.throwIfAborted();
      const aside = join(this.#directory, "tmp", nameSuffix(this.#random, 16));
      try {
        mkdirSync(aside, { mode: 0o755 });
        await using incoming = await layer.open(signal);
        const source: LayerSource = {
          diffId: layer.diffId,
          ...(layer.digest === undefined ? {} : { digest: layer.digest }),
          bytes: reportBytes(incoming.bytes, report),
          keeping: incoming.keeping,
        };
        const bytes = await unpackLayer(source, { directory: aside, limits: this.#limits }, signal);
        renameSync(aside, this.#path(layer.diffId.slice("sha256:".length)));
        this.#add(layer.diffId, bytes);
        report({ state: "unpacked", doneBytes: bytes });
        return bytes;
      } catch (error) {
        this.#trash.take(aside);
        throw noSpace(error);
      }
    });
  }

  #add(diffId: string, bytes: number): void {
    const link = (this.#nextLink++).toString(36);
    symlinkSync(this.#path(diffId.slice("sha256:".length)), join(this.#links, link));
    this.#present.set(diffId, { link, bytes });
  }

  #path(name: string): string {
    return join(this.#directory, "layers", name);
  }
}

/** A full disk in the words of a pull. */
export function noSpace(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new PullError("NoSpace", "no room on the disk for the image: remove images that are not needed", {
    cause: error,
  });
}

async function* reportBytes(
  parts: AsyncIterable<Uint8Array>,
  report: (progress: LayerProgress) => void,
): AsyncGenerator<Uint8Array> {
  let doneBytes = 0;
  let reportedBytes = 0;
  report({ state: "downloading", doneBytes });
  for await (const part of parts) {
    doneBytes += part.length;
    if (doneBytes - reportedBytes >= progressBytes) {
      reportedBytes = doneBytes;
      report({ state: "downloading", doneBytes });
    }
    yield part;
  }
}

/** What the helper prints of several files. */
export function splitFiles(output: Buffer, count: number): readonly (Buffer | undefined)[] {
  let at = 0;
  return Array.from({ length: count }, () => {
    const end = output.indexOf("\n", at);
    const size = Number(output.toString("latin1", at, end));
    at = end + 1;
    if (size < 0) return undefined;
    at += size;
    return output.subarray(at - size, at);
  });
}
