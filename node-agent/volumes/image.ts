// image volumes: the files of an image, read-only. Source: Kubernetes, "Volumes", image.
import { mountImage } from "./mounts.ts";
import type { VolumeType } from "./volume-type.ts";

export const imageVolume: VolumeType = {
  field: "image",
  setUp: async ({ dir, imageRoot }) => {
    await mountImage(await imageRoot(), dir);
    return { path: dir, readOnly: true };
  },
};
