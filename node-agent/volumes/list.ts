// All types of volume that a node can make.
import type { Volume } from "../../api/kinds/generated/types.ts";
import { configMapVolume } from "./config-map.ts";
import { downwardApiVolume } from "./downward-api.ts";
import { emptyDirVolume } from "./empty-dir.ts";
import { hostPathVolume } from "./host-path.ts";
import { imageVolume } from "./image.ts";
import { persistentVolumeClaimVolume } from "./persistent-volume-claim.ts";
import { projectedVolume } from "./projected.ts";
import { secretVolume } from "./secret.ts";
import { VolumeError, type VolumeType } from "./volume-type.ts";

export const volumeTypes: readonly VolumeType[] = [
  configMapVolume,
  downwardApiVolume,
  emptyDirVolume,
  hostPathVolume,
  imageVolume,
  persistentVolumeClaimVolume,
  projectedVolume,
  secretVolume,
];

/** Throws VolumeError for a type that Naru does not have. */
export function volumeTypeOf(volume: Volume): VolumeType {
  const type = volumeTypes.find(({ field }) => volume[field] !== undefined);
  if (type !== undefined) return type;
  const field = Object.keys(volume).find((key) => key !== "name");
  // A volume that says nothing is an emptyDir.
  if (field === undefined) return emptyDirVolume;
  throw new VolumeError(
    `volume type ${field} is not supported; this node has ${volumeTypes.map((t) => t.field).join(", ")}`,
  );
}
