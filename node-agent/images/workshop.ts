// What the builder works with: drafts that become layers, chains of layers that are no image, and what steps are known to have made.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { nameSuffix, type Random } from "../../lib/random.ts";
import type { Mount } from "../runtime/runtime.ts";
import { addCacheEntries, cacheOnlyBytes, planCachePruning } from "./changes.ts";
import { commitImage, type Folder, type NewImage } from "./commit.ts";
import { runHelper, startHelper, startPacking } from "./helper.ts";
import { HttpClient } from "./http.ts";
import type { Image } from "./images.ts";
import { type AdoptedLayer, noSpace } from "./layers.ts";
import { clearVolatile, overlayMount } from "./overlay.ts";
import type { CacheEntry, ImageRecord } from "./records.ts";
import type { Trash } from "./trash.ts";
import { isTar, unpackPlain } from "./unpack.ts";
import { homeOf, type ResolvedUser, resolveUser } from "./users.ts";

export interface Draft {
  readonly folder: string;
  /** Becomes the layer. */
  readonly upper: string;
}

export interface WorkshopParts {
  readonly folder: Folder;
  readonly trash: Trash;
  readonly random: Random;
  readonly runDirectory: string;
  sweep(): void;
}

export class Workshop {
  readonly http: HttpClient;
  readonly #parts: WorkshopParts;

  constructor(parts: WorkshopParts) {
    this.#parts = parts;
    this.http = new HttpClient(parts.folder.clock);
  }

  /** Where files that must not reach a disk may lie for a moment, and things that stay between builds. */
  get directories(): { readonly run: string; readonly kept: string } {
    return { run: join(this.#parts.runDirectory, "build"), kept: join(this.#parts.folder.directory, "build") };
  }

  /** An empty folder that is gone after a crash. */
  async begin(): Promise<Draft> {
    const { folder, random } = this.#parts;
    const own = join(folder.directory, "tmp", nameSuffix(random, 16));
    await mkdir(own, { mode: 0o700 });
    await Promise.all([mkdir(join(own, "upper"), { mode: 0o755 }), mkdir(join(own, "work"))]);
    return { folder: own, upper: join(own, "upper") };
  }

  discard(draft: Draft): void {
    this.#parts.trash.take(draft.folder);
  }

  /**
   * Makes the draft's changes a layer that is held until disposed, without the empty places at `stubs` that mounts lay upon. The draft
   * is gone afterwards.
   */
  async finish(
    draft: Draft,
    { timeMaxSeconds, stubs = [] }: { readonly timeMaxSeconds: number | undefined; readonly stubs?: readonly string[] },
  ): Promise<AdoptedLayer> {
    try {
      return await this.#parts.folder.layers.adopt(draft.upper, { timeMaxSeconds, stubs });
    } catch (error) {
      throw noSpace(error);
    } finally {
      this.discard(draft);
    }
  }

  has(diffId: string): boolean {
    return this.#parts.folder.layers.has(diffId);
  }

  hold(diffIds: readonly string[]): Disposable {
    return this.#parts.folder.layers.hold(diffIds);
  }

  /** A container's "/" over a chain of layers. */
  mount(diffIds: readonly string[], draft: Draft): Mount {
    const mount = overlayMount(this.#parts.folder.layers.lowerdir(diffIds), draft.folder, false);
    return { ...mount, options: [...mount.options, "redirect_dir=off", "metacopy=off"] };
  }

  /** A chain of layers as a place for naru-unpack; with a draft it takes what is written. */
  root(diffIds: readonly string[], draft?: Draft): string {
    const { layers } = this.#parts.folder;
    return layers.root(diffIds, draft && { upper: draft.upper, work: join(draft.folder, "work") });
  }

  async run(args: readonly string[], input: readonly string[] = []): Promise<Buffer> {
    return await runHelper(args, input);
  }

  /** A draft can be mounted again. */
  async settle(draft: Draft): Promise<void> {
    await clearVolatile(draft.folder);
  }

  pack(args: readonly string[]) {
    return startPacking(args);
  }

  start(args: readonly string[]) {
    return startHelper(args);
  }

  /** Unpacks a stranger's tar, compressed or not, below a root; whiteouts mean nothing. */
  async unpack(tar: AsyncIterable<Uint8Array>, root: string, path: string, signal?: AbortSignal): Promise<void> {
    await unpackPlain(tar, { root, path }, signal);
  }

  /** Whether ADD unpacks it. */
  async isTar(bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<boolean> {
    return await isTar(bytes, signal);
  }

  async readFiles(diffIds: readonly string[], paths: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    return await this.#parts.folder.layers.readFiles(diffIds, paths);
  }

  async resolveUser(diffIds: readonly string[], user: string): Promise<ResolvedUser & { readonly home: string }> {
    const files = await this.readFiles(diffIds, ["/etc/passwd", "/etc/group"]);
    const [passwd = "", group = ""] = files.map((bytes) => bytes?.toString());
    return { ...resolveUser(user, { passwd, group }), home: homeOf(user, passwd) };
  }

  record(id: string): ImageRecord | undefined {
    return this.#parts.folder.records.current.images.find((image) => image.id === id);
  }

  async config(id: string): Promise<Readonly<Record<string, unknown>>> {
    const bytes = await this.#parts.folder.content.read(id);
    if (bytes === undefined) throw new Error(`config of image ${id} is gone from the disk: pull it again`);
    return JSON.parse(bytes.toString());
  }

  /** What a step made, when its layer is still here. */
  find(key: string): CacheEntry | undefined {
    const entry = this.#parts.folder.records.current.buildCache?.[key];
    return entry !== undefined && (entry.diffId === undefined || this.has(entry.diffId)) ? entry : undefined;
  }

  /** Remembers what steps made or used; on the disk soon, and nobody needs to wait for it. */
  remember(entries: Readonly<Record<string, Omit<CacheEntry, "usedAtMs">>>): void {
    const { records, layers, disk, clock } = this.#parts.folder;
    records.note((current) =>
      addCacheEntries(current, entries, { nowMs: clock.now(), bytesOf: (id) => layers.bytes(id) }),
    );
    disk.schedule();
  }

  async commit(image: NewImage): Promise<Image> {
    const made = await commitImage(this.#parts.folder, image);
    this.#parts.sweep();
    return made;
  }

  nowMs(): number {
    return this.#parts.folder.clock.now();
  }

  name(): string {
    return nameSuffix(this.#parts.random, 12);
  }

  usage(): { readonly entries: number; readonly bytes: number } {
    const { current } = this.#parts.folder.records;
    return { entries: Object.keys(current.buildCache ?? {}).length, bytes: cacheOnlyBytes(current) };
  }

  async prune({
    keepBytes = 0,
    usedSinceMs,
    all = false,
  }: {
    readonly keepBytes?: number;
    readonly usedSinceMs?: number;
    readonly all?: boolean;
  }): Promise<{ readonly freedBytes: number }> {
    const before = this.usage().bytes;
    await this.#parts.folder.records.change((current) => planCachePruning(current, keepBytes, usedSinceMs));
    this.#parts.sweep();
    if (all) await rm(this.directories.kept, { recursive: true, force: true });
    return { freedBytes: before - this.usage().bytes };
  }
}
