// The volumeMounts of a container as the runtime mounts them. Pure.
import type { Container, VolumeMount } from "../../api/kinds/generated/types.ts";
import type { Mount } from "../runtime/runtime.ts";
import { propagationProblem } from "../volumes/propagation.ts";
import { type MadeVolume, VolumeError } from "../volumes/volume-type.ts";
import { expand } from "./expand.ts";

export interface MountContext {
  readonly volumes: ReadonlyMap<string, MadeVolume>;
  readonly env: ReadonlyMap<string, string>;
  /** The node's /proc/self/mountinfo, read when a mount shares what is mounted later. */
  readonly mountinfo: () => string;
}

/** Outermost mount point first. Throws VolumeError for a volume or subPath that cannot be had. */
export function volumeMounts(container: Container, context: MountContext): readonly Mount[] {
  return (container.volumeMounts ?? []).map((mount) => mountOf(mount, context)).sort((a, b) => depth(a) - depth(b));
}

function mountOf(mount: VolumeMount, { volumes, env, mountinfo }: MountContext): Mount {
  const volume = volumes.get(mount.name);
  if (volume === undefined) throw new VolumeError(`volume "${mount.name}" of mount ${mount.mountPath} is not there`);
  const propagation = propagationOf(mount.mountPropagation);
  if (propagation !== "rprivate") {
    const problem = propagationProblem(mountinfo(), volume.path, propagation);
    if (problem !== undefined) throw new VolumeError(problem);
  }
  const subPath = subPathOf(mount, env);
  // What is read-only by itself, such as an image, is so whatever is mounted in it.
  const recursive =
    volume.readOnly || mount.recursiveReadOnly === "Enabled" || mount.recursiveReadOnly === "IfPossible";
  const readOnly = mount.readOnly === true || volume.readOnly;
  return {
    destination: mount.mountPath,
    type: "bind",
    source: volume.path,
    ...(subPath === "" ? {} : { subPath }),
    options: ["rbind", propagation, readOnly ? (recursive ? "rro" : "ro") : "rw"],
  };
}

function subPathOf(mount: VolumeMount, env: ReadonlyMap<string, string>): string {
  const subPath = expanded(mount, env);
  if (subPath.startsWith("/") || subPath.split("/").includes("..") || subPath.includes("\0")) {
    throw new VolumeError(`subPath ${JSON.stringify(subPath)} must be relative and must not contain ".."`);
  }
  return subPath;
}

function expanded(mount: VolumeMount, env: ReadonlyMap<string, string>): string {
  if (mount.subPathExpr === undefined || mount.subPathExpr === "") return mount.subPath ?? "";
  return expand(mount.subPathExpr, (name) => {
    const value = env.get(name);
    if (value === undefined) throw new VolumeError(`subPathExpr ${mount.subPathExpr}: no variable ${name}`);
    return value;
  });
}

function propagationOf(mode: string | undefined): "rshared" | "rslave" | "rprivate" {
  return mode === "Bidirectional" ? "rshared" : mode === "HostToContainer" ? "rslave" : "rprivate";
}

function depth(mount: Mount): number {
  return mount.destination.split("/").filter((part) => part !== "").length;
}
