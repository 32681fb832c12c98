// Containers' writable layers: containers/<id>/ with upper, work, and a link that names the image, so that a restarted agent
// still knows what is in use. Mounts are returned as data.
import { mkdirSync, symlinkSync } from "node:fs";
import { mkdir, readdir, readlink, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { spreadDirectory } from "../../lib/spread-directory.ts";
import type { Mount } from "../runtime/runtime.ts";
import type { Trash } from "./trash.ts";

const optionBytesMax = 4095;
const idPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/;

export class WritableLayers {
  readonly #directory: string;
  readonly #trash: Trash;
  /** Image ids by container id. */
  readonly #images = new Map<string, string>();
  /** Made before the machine's last boot: what a volatile overlay held then may be torn. */
  readonly #old = new Set<string>();

  constructor(directory: string, trash: Trash) {
    this.#directory = join(directory, "containers");
    this.#trash = trash;
  }

  async open(options: { readonly sameBoot: boolean }): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await spreadDirectory(this.#directory);
    for (const containerId of await readdir(this.#directory)) {
      const imageId = await readlink(join(this.#directory, containerId, "image")).catch(() => undefined);
      // Killed while it was made: nobody has used it yet.
      if (imageId === undefined) this.#trash.take(join(this.#directory, containerId));
      else this.#images.set(containerId, imageId);
      if (!options.sameBoot) this.#old.add(containerId);
    }
  }

  list(): readonly { readonly containerId: string; readonly imageId: string }[] {
    return [...this.#images].map(([containerId, imageId]) => ({ containerId, imageId }));
  }

  usersOf(imageId: string): readonly string[] {
    return [...this.#images].flatMap(([containerId, used]) => (used === imageId ? [containerId] : []));
  }

  imageOf(containerId: string): string | undefined {
    return this.#images.get(containerId);
  }

  /** Where its upper and work directories are. */
  folderOf(containerId: string): string {
    return join(this.#directory, containerId);
  }

  /** The overlay for a container; the same one for the same id. */
  async prepare(
    containerId: string,
    options: { readonly imageId: string; readonly lowerdir: string; readonly durable: boolean },
  ): Promise<Mount> {
    if (!idPattern.test(containerId))
      throw new Error(`container id ${JSON.stringify(containerId)} cannot name a folder`);
    const known = this.#images.get(containerId);
    if (known !== undefined && known !== options.imageId) {
      throw new Error(`container ${containerId} has a writable layer on another image, ${known}: remove it first`);
    }
    const folder = join(this.#directory, containerId);
    const mount = overlayMount(options.lowerdir, folder, options.durable);
    // Known before the first wait, so that its image can't be removed in between.
    this.#images.set(containerId, options.imageId);
    try {
      await this.#makeFolder(containerId, options);
    } catch (error) {
      this.remove(containerId);
      throw error;
    }
    return mount;
  }

  /** The folder goes in the background. Silent when there is none. */
  remove(containerId: string): void {
    if (!idPattern.test(containerId)) return;
    this.#trash.take(join(this.#directory, containerId));
    this.#images.delete(containerId);
    this.#old.delete(containerId);
  }

  async #makeFolder(
    containerId: string,
    { imageId, durable }: { readonly imageId: string; readonly durable: boolean },
  ): Promise<void> {
    const folder = join(this.#directory, containerId);
    if (this.#old.delete(containerId) && !durable) this.#trash.take(folder);
    // In place, as every container waits for it: three of these calls cost less than one that is waited for.
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined;
    if (!made) {
      await Promise.all([
        mkdir(join(folder, "upper"), { recursive: true }),
        mkdir(join(folder, "work"), { recursive: true }),
      ]);
      // The kernel leaves this note against a second mount, in case of a crash. There was none: it is the same boot.
      await clearVolatile(folder);
      if ((await stat(join(folder, "image")).catch(() => undefined)) === undefined) await linkImage(folder, imageId);
      return;
    }
    mkdirSync(join(folder, "upper"));
    mkdirSync(join(folder, "work"));
    symlinkSync(imageId, join(folder, "image"));
  }
}

/** Takes away the note that forbids to mount a volatile overlay again. */
export async function clearVolatile(folder: string): Promise<void> {
  await rm(join(folder, "work", "work", "incompat"), { recursive: true, force: true });
}

/** An overlay over `lowerdir`, written to below `folder`. Throws when the kernel could not take so many layers. */
export function overlayMount(lowerdir: string, folder: string, durable: boolean): Mount {
  const directories = [`lowerdir=${lowerdir}`, `upperdir=${folder}/upper`, `workdir=${folder}/work`];
  // Volatile: nothing of it is written to the disk for good. It is a container's scratch, gone with the container. What may become
  // a layer is without redirects, which mean something only to the layers below.
  const options = [...directories, ...(durable ? ["redirect_dir=off", "metacopy=off"] : ["volatile"])];
  const bytes = options.join(",").length;
  if (bytes > optionBytesMax) {
    throw new Error(
      `overlay mount has ${bytes} bytes of options, and the kernel reads ${optionBytesMax}: use a shorter data folder`,
    );
  }
  return { destination: "/", type: "overlay", source: "overlay", options };
}

async function linkImage(folder: string, imageId: string): Promise<void> {
  await symlink(imageId, join(folder, "image")).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}
