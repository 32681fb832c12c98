// How much of a disk images have to leave. Pure. Source: Kubernetes documentation, "Garbage collection of images".
import type { Observation } from "./thresholds.ts";

export interface ImageCollectionLimits {
  /** From this use of the disk on, images go … */
  readonly highPercent: number;
  /** … until it is down to this. */
  readonly lowPercent: number;
  /** Images used within this time stay. */
  readonly minAgeMs: number;
  /** The same of images that were built, committed or loaded here and may be nowhere else: time to use them, or to push them. */
  readonly ownMinAgeMs: number;
  /** Images that nothing has used for so long go however much room there is; 0: none. */
  readonly maxAgeMs: number;
}

export const imageCollectionDefault: ImageCollectionLimits = {
  highPercent: 85,
  lowPercent: 80,
  minAgeMs: 120_000,
  ownMinAgeMs: 3_600_000,
  maxAgeMs: 0,
};

/** Bytes to free; undefined: the disk is not that full. */
export function planImageCollection(
  disk: Observation,
  { highPercent, lowPercent }: ImageCollectionLimits,
): number | undefined {
  if (disk.capacity <= 0) return undefined;
  const usedPercent = 100 - Math.floor((disk.available * 100) / disk.capacity);
  if (usedPercent < highPercent) return undefined;
  return Math.ceil((disk.capacity * (100 - lowPercent)) / 100 - disk.available);
}
