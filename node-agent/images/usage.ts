// What images take on the disk, each layer counted once. Pure.
import { toImage } from "./changes.ts";
import type { DiskUsage } from "./library.ts";
import type { Records } from "./records.ts";

export function toUsage(
  records: Records,
  {
    usersOf,
    containers,
  }: { readonly usersOf: (imageId: string) => readonly string[]; readonly containers: DiskUsage["containers"] },
): DiskUsage {
  const counts = new Map<string, number>();
  for (const image of records.images)
    for (const layer of new Set(image.layers)) counts.set(layer, (counts.get(layer) ?? 0) + 1);
  const bytesOf = (layer: string) => records.layerBytes[layer] ?? 0;
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  return {
    images: records.images.map((record) => ({
      image: toImage(records, record),
      sharedBytes: sum([...new Set(record.layers)].filter((layer) => (counts.get(layer) ?? 0) > 1).map(bytesOf)),
      containerIds: usersOf(record.id),
    })),
    layerBytes: sum([...counts.keys()].map(bytesOf)),
    blobBytes: sum(Object.entries(records.blobs ?? {}).map(([, { sizeBytes }]) => sizeBytes)),
    containers,
  };
}
