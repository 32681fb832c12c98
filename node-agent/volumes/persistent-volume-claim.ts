// Volumes that outlive pods: the claim names the volume that it is bound to, which is a folder of this node.
import { chmod, chown, mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { PersistentVolume } from "../../api/kinds/generated/types.ts";
import { localDriver } from "../../api/kinds/local-volume.ts";
import { giveToGroup } from "./ownership.ts";
import { VolumeComingError, VolumeError, type VolumeType } from "./volume-type.ts";

export const persistentVolumeClaimVolume: VolumeType = {
  field: "persistentVolumeClaim",
  setUp: async ({ pod, volume, claim, persistentVolume, localVolumesDir, fsGroup }) => {
    const { claimName = "", readOnly = false } = volume.persistentVolumeClaim ?? {};
    const found = claim(claimName);
    if (found === undefined) throw new VolumeError(`persistentvolumeclaim "${claimName}" not found`);
    const name = found.spec?.volumeName ?? "";
    if (name === "" || found.status?.phase !== "Bound")
      throw new VolumeComingError(`persistentvolumeclaim "${claimName}" is not bound to a volume yet`);
    const source = persistentVolume(name);
    if (source === undefined) throw new VolumeError(`persistentvolume "${name}" is on another node`);
    const path = localPath(source, localVolumesDir);
    if (path === undefined)
      throw new VolumeError(
        `persistentvolume "${name}" is of a type that Naru does not have: local, hostPath and ${localDriver} are known`,
      );
    if (source.spec?.csi !== undefined) await makeFolder(path, fsGroup);
    else if ((await stat(path).catch(() => undefined)) === undefined)
      throw new VolumeError(`persistentvolume "${name}": there is no ${path} on this node`);
    const ofPods = source.spec?.csi !== undefined || source.spec?.local !== undefined;
    if (fsGroup !== undefined && ofPods && !readOnly)
      await giveToGroup(path, fsGroup, pod.spec?.securityContext?.fsGroupChangePolicy);
    return { path, readOnly };
  },
};

function localPath({ metadata, spec }: PersistentVolume, localVolumesDir: string): string | undefined {
  if (spec?.csi?.driver !== localDriver) return spec?.local?.path ?? spec?.hostPath?.path;
  const name = metadata?.name ?? "";
  if (!/^[a-z0-9][a-z0-9.-]*$/.test(name)) throw new VolumeError(`${JSON.stringify(name)} is no name of a volume`);
  return join(localVolumesDir, name);
}

// Whatever user the first container runs as may write. Made aside, so that what is there is whole and stays as its pods left it.
async function makeFolder(path: string, fsGroup: number | undefined): Promise<void> {
  if ((await stat(path).catch(() => undefined)) !== undefined) return;
  const fresh = `${path}~`;
  await mkdir(fresh, { recursive: true });
  if (fsGroup !== undefined) await chown(fresh, 0, fsGroup);
  await chmod(fresh, fsGroup === undefined ? 0o777 : 0o2777);
  await rename(fresh, path).catch((error: NodeJS.ErrnoException) => {
    // Another pod of this node made it meanwhile.
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
}
