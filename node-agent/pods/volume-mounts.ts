// The volumeMounts of a container as the runtime mounts them; subPaths are opened safely and stay open until release.
import type { Container, VolumeMount } from "../../api/kinds/generated/types.ts";
import type { Mount } from "../runtime/runtime.ts";
import { openSubPath, type SafePath } from "../volumes/sub-path.ts";
import { type MadeVolume, VolumeError } from "../volumes/volume-type.ts";
import { expand } from "./expand.ts";
import type { ContainerMounts } from "./storage.ts";

/** Outermost mount point first. Throws VolumeError for a volume or subPath that cannot be had. */
export async function volumeMounts(
  container: Container,
  volumes: ReadonlyMap<string, MadeVolume>,
  env: ReadonlyMap<string, string>,
): Promise<ContainerMounts> {
  const opened: SafePath[] = [];
  const release = async () => {
    for (const path of opened.splice(0)) await path.close();
  };
  const mounts: Mount[] = [];
  try {
    for (const mount of container.volumeMounts ?? []) {
      const volume = volumes.get(mount.name);
      if (volume === undefined)
        throw new VolumeError(`volume "${mount.name}" of mount ${mount.mountPath} is not there`);
      const subPath = subPathOf(mount, env);
      let source = volume.path;
      if (subPath !== "") {
        const safe = await openSubPath(volume.path, subPath);
        opened.push(safe);
        source = safe.path;
      }
      const readOnly = mount.readOnly === true || volume.readOnly;
      mounts.push({
        destination: mount.mountPath,
        type: "bind",
        source,
        options: ["rbind", propagation(mount.mountPropagation), readOnly ? "ro" : "rw"],
      });
    }
  } catch (error) {
    await release();
    throw error;
  }
  return { mounts: mounts.sort((a, b) => depth(a) - depth(b)), release };
}

function subPathOf(mount: VolumeMount, env: ReadonlyMap<string, string>): string {
  if (mount.subPathExpr === undefined || mount.subPathExpr === "") return mount.subPath ?? "";
  return expand(mount.subPathExpr, (name) => {
    const value = env.get(name);
    if (value === undefined) throw new VolumeError(`subPathExpr ${mount.subPathExpr}: no variable ${name}`);
    return value;
  });
}

function propagation(mode: string | undefined): string {
  return mode === "Bidirectional" ? "rshared" : mode === "HostToContainer" ? "rslave" : "rprivate";
}

function depth(mount: Mount): number {
  return mount.destination.split("/").filter((part) => part !== "").length;
}
