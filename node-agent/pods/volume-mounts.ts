// The volumeMounts of a container as the runtime mounts them. A subPath is opened safely and bound to a place that nobody else can
// change, until the container has started.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Container, VolumeMount } from "../../api/kinds/generated/types.ts";
import type { Mount } from "../runtime/runtime.ts";
import { bindDescriptor, unmountBelow } from "../volumes/mounts.ts";
import { openSubPath } from "../volumes/sub-path.ts";
import { type MadeVolume, VolumeError } from "../volumes/volume-type.ts";
import { expand } from "./expand.ts";
import type { ContainerMounts } from "./storage.ts";

/** Outermost mount point first. Throws VolumeError for a volume or subPath that cannot be had. */
export async function volumeMounts(
  container: Container,
  volumes: ReadonlyMap<string, MadeVolume>,
  { env, holdDir }: { readonly env: ReadonlyMap<string, string>; readonly holdDir: string },
): Promise<ContainerMounts> {
  let held = 0;
  const release = async () => {
    if (held === 0) return;
    await unmountBelow(holdDir);
    await rm(holdDir, { recursive: true, force: true });
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
        source = join(holdDir, String(held++));
        await hold(volume.path, subPath, source);
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

async function hold(root: string, subPath: string, target: string): Promise<void> {
  await using place = await openSubPath(root, subPath);
  await mkdir(join(target, ".."), { recursive: true, mode: 0o700 });
  if (place.isDirectory) await mkdir(target, { recursive: true });
  else await writeFile(target, "");
  await bindDescriptor(place.path, target);
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
