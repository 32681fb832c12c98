// Blobs that clients push to this node, part by part: each gathers in a file of its own until its digest is verified. What nobody
// finishes is collected.
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import { nameSuffix, type Random } from "../../lib/random.ts";
import { noSpace } from "./layers.ts";

export interface UploadOwner {
  /** Nobody else goes on with it. */
  readonly user: string;
  readonly repository: string;
}

export interface Upload {
  readonly id: string;
  readonly doneBytes: number;
}

interface OpenUpload {
  readonly id: string;
  readonly owner: UploadOwner;
  readonly path: string;
  readonly hash: Hash;
  doneBytes: number;
  lastMs: number;
  busy: boolean;
}

const uploadsMax = 256;
const uploadsPerUserMax = 64;
const blobBytesMax = 64 * 1024 ** 3;
const idleMsMax = 30 * 60_000;
const collectMs = 60_000;

/** Why an upload cannot go on. */
export class UploadError extends Error {
  readonly reason: "unknown" | "busy" | "range" | "size" | "digest" | "many";

  constructor(reason: UploadError["reason"], message: string) {
    super(message);
    this.name = "UploadError";
    this.reason = reason;
  }
}

export class Uploads implements Disposable {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #open = new Map<string, OpenUpload>();
  #timer: Timer | undefined;

  constructor(options: { readonly directory: string; readonly clock: Clock; readonly random: Random }) {
    this.#directory = join(options.directory, "uploads");
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** What an earlier run left is of no use: its digests' states are lost. */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) await rm(join(this.#directory, name), { force: true });
  }

  /** Throws UploadError("many"). */
  start(owner: UploadOwner): Upload {
    const ofUser = [...this.#open.values()].filter((each) => each.owner.user === owner.user).length;
    if (this.#open.size >= uploadsMax || ofUser >= uploadsPerUserMax)
      throw new UploadError("many", `${ofUser} uploads of ${owner.user} are open: finish or cancel some`);
    const id = nameSuffix(this.#random, 24);
    const upload = {
      ...{ id, owner, path: join(this.#directory, id), hash: createHash("sha256"), doneBytes: 0 },
      ...{ lastMs: this.#clock.monotonicMs(), busy: false },
    };
    this.#open.set(id, upload);
    this.#timer ??= this.#clock.after(collectMs, () => void this.#collect());
    return { id, doneBytes: 0 };
  }

  /** Throws UploadError("unknown"). */
  find(id: string, owner: UploadOwner): Upload {
    const { doneBytes } = this.#find(id, owner);
    return { id, doneBytes };
  }

  /** Appends; what came before a failure stays, so that the client can go on from there. */
  async append(
    id: string,
    owner: UploadOwner,
    { body, fromByte }: { readonly body: AsyncIterable<Buffer>; readonly fromByte: number | undefined },
  ): Promise<Upload> {
    const upload = this.#find(id, owner);
    if (upload.busy) throw new UploadError("busy", "another request is at this upload");
    if (fromByte !== undefined && fromByte !== upload.doneBytes)
      throw new UploadError("range", `${upload.doneBytes} bytes have come: go on from there, not from ${fromByte}`);
    upload.busy = true;
    let file: FileHandle | undefined;
    try {
      file = await open(upload.path, "a", 0o600);
      for await (const part of body) {
        if (upload.doneBytes + part.length > blobBytesMax)
          throw new UploadError("size", `a blob may have ${blobBytesMax} bytes`);
        // What was written by half cannot be gone on from.
        await writeAll(file, part).catch((error) => this.#drop(upload).then(() => Promise.reject(noSpace(error))));
        upload.doneBytes += part.length;
        upload.hash.update(part);
        upload.lastMs = this.#clock.monotonicMs();
      }
      return { id, doneBytes: upload.doneBytes };
    } catch (error) {
      throw noSpace(error);
    } finally {
      upload.busy = false;
      upload.lastMs = this.#clock.monotonicMs();
      await file?.close();
    }
  }

  /** Verifies the whole and hands the file, which is on the disk for good, to `take`; the upload is over, whatever happens. */
  async finish(
    id: string,
    owner: UploadOwner,
    { digest, take }: { readonly digest: string; readonly take: (path: string, sizeBytes: number) => Promise<void> },
  ): Promise<void> {
    const upload = this.#find(id, owner);
    if (upload.busy) throw new UploadError("busy", "another request is at this upload");
    upload.busy = true;
    try {
      const found = `sha256:${upload.hash.digest("hex")}`;
      if (found !== digest)
        throw new UploadError("digest", `the ${upload.doneBytes} bytes that came have digest ${found}, not ${digest}`);
      const file = await open(upload.path, "a", 0o600);
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await take(upload.path, upload.doneBytes);
    } finally {
      await this.#drop(upload);
    }
  }

  async cancel(id: string, owner: UploadOwner): Promise<void> {
    const upload = this.#find(id, owner);
    if (upload.busy) throw new UploadError("busy", "another request is at this upload");
    await this.#drop(upload);
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }

  #find(id: string, owner: UploadOwner): OpenUpload {
    const upload = this.#open.get(id);
    if (upload === undefined || upload.owner.user !== owner.user || upload.owner.repository !== owner.repository)
      throw new UploadError("unknown", "there is no such upload: it was finished, cancelled, or idle for too long");
    return upload;
  }

  async #drop({ id, path }: OpenUpload): Promise<void> {
    this.#open.delete(id);
    await rm(path, { force: true });
  }

  async #collect(): Promise<void> {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    const idle = [...this.#open.values()].filter(({ busy, lastMs }) => !busy && nowMs - lastMs > idleMsMax);
    for (const upload of idle) await this.#drop(upload).catch(() => {});
    if (this.#open.size > 0) this.#timer ??= this.#clock.after(collectMs, () => void this.#collect());
  }
}

async function writeAll(file: FileHandle, part: Buffer): Promise<void> {
  for (let at = 0; at < part.length; ) at += (await file.write(part, at)).bytesWritten;
}
