// Images on Linux: the folder of one node's images opened, cleared of what a crash left, and its parts put together.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { resolve as absolute, join } from "node:path";
import type { Logger } from "../../lib/log.ts";
import { spreadDirectory } from "../../lib/spread-directory.ts";
import { blobsInUse, layersInUse, removeImages, withoutUnsynced } from "./changes.ts";
import { Content } from "./content.ts";
import { DiskSync } from "./disk-sync.ts";
import { Downloads } from "./downloads.ts";
import type { ImageDoor } from "./image-door.ts";
import { Layers } from "./layers.ts";
import type { ImageLibrary } from "./library.ts";
import type { ImagesOptions, Parts } from "./linux-images.ts";
import { LinuxLibrary } from "./linux-library.ts";
import { WritableLayers } from "./overlay.ts";
import type { PushedImages } from "./pushed-images.ts";
import { RecordFile } from "./records.ts";
import { Trash } from "./trash.ts";
import { layerLimits } from "./unpack.ts";
import { Uploads } from "./uploads.ts";

/** A node's images, with what it gives and takes from others. */
export type OpenedImages = ImageLibrary & { readonly door: ImageDoor; readonly pushed: PushedImages };

/** Opens a node's images. Root and a kernel with overlayfs are needed, and naru-unpack built. */
export async function openImages(options: ImagesOptions): Promise<OpenedImages> {
  const directory = absolute(options.dir);
  const runDirectory = absolute(options.runDir ?? directory);
  for (const path of [directory, runDirectory]) {
    if (/[,:\\\s]/.test(path))
      throw new Error(`${path}: overlay mounts cannot have a folder with , : \\ or spaces in its name`);
  }
  await mkdir(join(directory, "tmp"), { recursive: true, mode: 0o700 });
  // Layers and drafts are made there, and stay where on the disk they were made.
  await spreadDirectory(join(directory, "tmp"));
  const { random, log, clock } = options;
  const trash = new Trash({ directory, clock, random, log });
  const records = new RecordFile(directory, clock);
  const content = new Content(directory);
  const limits = options.limits ?? layerLimits;
  const layers = new Layers({ directory, links: join(runDirectory, "l"), trash, random, limits });
  const writable = new WritableLayers(directory, trash);
  await Promise.all([records.open(), content.open(), trash.open(), mkdir(runDirectory, { recursive: true })]);
  for (const name of await readdir(join(directory, "tmp"))) trash.take(join(directory, "tmp", name));
  const sameBoot = await isSameBoot(directory);
  if (!sameBoot && (records.current.unsynced ?? []).length > 0) await records.change(withoutUnsynced);
  await layers.open(records.current.layerBytes);
  await dropBroken(records, layers, log);
  content.sweep(blobsInUse(records.current));
  const downloads = new Downloads({ directory, content, clock });
  await downloads.open();
  const disk = new DiskSync({ directory, records, clock, log });
  disk.schedule();
  const folder = { directory, clock, content, disk, downloads, layers, records };
  const uploads = new Uploads({ directory, clock, random });
  await uploads.open();
  const parts: Parts = { options, folder, trash, writable, runDirectory, uploads };
  await writable.open({ sameBoot });
  return new LinuxLibrary(parts);
}

// An image whose layer somebody took from the disk can't run: better it is pulled again.
async function dropBroken(records: RecordFile, layers: Layers, log: Logger): Promise<void> {
  const broken = records.current.images.filter((image) => !image.layers.every((layer) => layers.has(layer)));
  if (broken.length === 0) return;
  log.warn({ images: broken.map((image) => image.id) }, "images lack layers on the disk and are forgotten");
  await records.change((current) => removeImages(current, new Set(broken.map((image) => image.id))));
  layers.sweep(layersInUse(records.current));
}

async function isSameBoot(directory: string): Promise<boolean> {
  const path = join(directory, "boot-id");
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before !== boot) await writeFile(path, boot);
  return before === boot;
}
