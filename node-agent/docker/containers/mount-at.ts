// Which of a container's mounts a path lies in. Pure.
import { normal } from "./plan-mounts.ts";
import type { MountPoint } from "./record.ts";

export interface MountPlace {
  readonly mount: MountPoint;
  /** Folder of the node that the mount shows. */
  readonly directory: string;
  /** The mount's own last name. */
  readonly name: string;
  /** The path within it, with a "/." at its end when it had one. */
  readonly path: string;
}

/** The innermost one; undefined when the path lies in the container's own files, or in memory that only a running one has. */
export function mountAt(mounts: readonly MountPoint[], path: string): MountPlace | undefined {
  const clean = normal(path);
  const [mount] = mounts
    .filter(({ Type, Destination }) => Type !== "tmpfs" && `${clean}/`.startsWith(`${Destination}/`))
    .toSorted((a, b) => b.Destination.length - a.Destination.length);
  if (mount === undefined) return undefined;
  const inside = clean.slice(mount.Destination.length);
  return {
    mount,
    directory: mount.subpath === "" ? mount.Source : `${mount.Source}/${mount.subpath}`,
    name: mount.Destination.slice(mount.Destination.lastIndexOf("/") + 1),
    path: `${inside === "" ? "/" : inside}${path.endsWith("/.") ? "/." : ""}`,
  };
}
