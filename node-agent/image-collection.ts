// Room for images: when the disk is fuller than one mark, images that nobody uses go, those not used for longest first, until it is below
// another.
import { statfs } from "node:fs/promises";
import type { Logger } from "../lib/log.ts";
import type { ImageStore } from "./images/images.ts";

export interface CollectionMarks {
  /** Percent of the disk: kubelet's imageGCHighThresholdPercent and imageGCLowThresholdPercent. */
  readonly highPercent: number;
  readonly lowPercent: number;
}

export const collectionMarks: CollectionMarks = { highPercent: 85, lowPercent: 80 };

/** Bytes to free; 0 when the disk is not too full. Pure. */
export function planCollect(
  disk: { readonly totalBytes: number; readonly freeBytes: number },
  marks: CollectionMarks,
): number {
  const usedBytes = disk.totalBytes - disk.freeBytes;
  if (disk.totalBytes <= 0 || usedBytes * 100 < disk.totalBytes * marks.highPercent) return 0;
  return Math.ceil(usedBytes - (disk.totalBytes * marks.lowPercent) / 100);
}

/** One look at the disk; gives the bytes that were freed. */
export async function collectImages(
  images: Pick<ImageStore, "collect">,
  {
    directory,
    marks = collectionMarks,
    log,
  }: { readonly directory: string; readonly marks?: CollectionMarks; readonly log: Logger },
): Promise<number> {
  const { blocks, bavail, bsize } = await statfs(directory);
  const bytes = planCollect({ totalBytes: blocks * bsize, freeBytes: bavail * bsize }, marks);
  if (bytes === 0) return 0;
  const { freedBytes, images: gone } = await images.collect({ bytes });
  const names = gone.map(({ id, tags }) => tags[0] ?? id);
  if (freedBytes < bytes)
    log.warn({ wantedBytes: bytes, freedBytes, images: names }, "the disk is full, and images in use take the rest");
  else log.info({ freedBytes, images: names }, "removed images that were not used for longest");
  return freedBytes;
}
