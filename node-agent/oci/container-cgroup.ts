// A container's cgroups on this machine: where they are, and their end.
import { realClock } from "../../lib/clock.ts";
import { readMountinfo, removeCgroup } from "../runtime/cgroup-files.ts";
import { type CgroupLayout, detectCgroups } from "../runtime/cgroups.ts";
import { controllersOf, type OciCgroup, planOciCgroup } from "./cgroup.ts";
import type { OciConfig } from "./config.ts";
import type { ContainerRecord } from "./state.ts";

export function cgroupLayout({ resources }: Pick<OciConfig, "resources">): CgroupLayout | undefined {
  return detectCgroups(readMountinfo(), controllersOf(resources));
}

export function cgroupOf(config: OciConfig, record: ContainerRecord): OciCgroup | undefined {
  const layout = cgroupLayout(config);
  return layout === undefined ? undefined : planOciCgroup(layout, record.cgroupPath, config.resources);
}

/** Its processes with it. */
export async function removeLeftovers(layout: CgroupLayout | undefined, path: string): Promise<void> {
  // Groups above it are the caller's, but for our own.
  const ours = path.startsWith("/naru-oci/");
  const [parent, name] = ours
    ? ["", path.slice(1)]
    : [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/") + 1)];
  if (layout !== undefined) await removeCgroup(layout, parent, name, realClock);
}
