// emptyDir volumes: scratch that lives as long as the pod, on disk or in memory.
import { chmod, mkdir } from "node:fs/promises";
import { bytes } from "../../api/kinds/schema/quantity.ts";
import { mountTmpfs, unmountBelow } from "./mounts.ts";
import { VolumeError, type VolumeType } from "./volume-type.ts";

export const emptyDirVolume: VolumeType = {
  field: "emptyDir",
  setUp: async ({ volume, dir, memoryDir }) => {
    const { medium = "", sizeLimit } = volume.emptyDir ?? {};
    switch (medium) {
      case "":
        await mkdir(dir, { recursive: true });
        // Every user of the pod may write; chmod because the umask cuts mkdir's mode.
        await chmod(dir, 0o777);
        return { path: dir, ownedByPod: true, readOnly: false };
      case "Memory":
        await mountTmpfs(memoryDir, {
          mode: "0777",
          ...(sizeLimit === undefined ? {} : { sizeBytesMax: bytes(sizeLimit) }),
        });
        return { path: memoryDir, ownedByPod: true, readOnly: false };
      default:
        throw new VolumeError(`emptyDir medium ${JSON.stringify(medium)} is not supported; it may be "" or "Memory"`);
    }
  },
  tearDown: ({ memoryDir }) => unmountBelow(memoryDir),
};
