// A container's mounts for an OCI runtime. What it could not do safely, or at all, is done before it is called and staged in a
// directory, from where it takes the mounts as they are: places below a volume (subPath), propagation, mapped users. Pure.
import { defaultMounts } from "./defaults.ts";
import type { LaunchOp } from "./launch-op.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { planHold, planMount } from "./plan-mounts.ts";
import type { ContainerSpec, Mount } from "./runtime.ts";

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface OciMounts {
  readonly mounts: readonly OciMount[];
  /** Before the mounts become private; after it, below the stage. */
  readonly holds: readonly LaunchOp[];
  readonly places: readonly LaunchOp[];
  /** What the root has to be so that the mounts are shared as they should. */
  readonly rootfsPropagation: "rshared" | "rslave" | undefined;
}

/** `stage` is the directory's path on the host. Throws LaunchError for what no mount can be. */
export function ociMounts(spec: ContainerSpec, stage: string): OciMounts {
  const all = ociMountList(spec);
  const holds: LaunchOp[] = [];
  const places: LaunchOp[] = [];
  const mounts = all.map((mount, i) => {
    // Refuses, with words, what neither runtime may mount.
    planMount(mount, spec.idMapping);
    if (!isStaged(mount)) return { ...mount, options: mount.options };
    const staged = { ...mount, destination: `/${i}` };
    holds.push(...planHold(staged));
    places.push(planMount(staged, spec.idMapping));
    return {
      destination: mount.destination,
      type: "bind",
      source: `${stage}/${i}`,
      options: stagedOptions(spec, mount),
    };
  });
  const propagations = all.map(propagationOf);
  return {
    mounts: mounts.map(({ destination, type, source, options }) => ({ destination, type, source, options })),
    holds,
    places,
    rootfsPropagation: propagations.includes("shared")
      ? "rshared"
      : propagations.includes("slave")
        ? "rslave"
        : undefined,
  };
}

function ociMountList(spec: ContainerSpec): readonly Mount[] {
  const taken = new Set(spec.mounts.map(({ destination }) => destination.replace(/(?<=.)\/+$/, "")));
  const cgroups: Mount = {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "relatime", spec.privileged ? "rw" : "ro"],
  };
  const defaults = [...defaultMounts, cgroups].filter(({ destination }) => !taken.has(destination));
  const depth = ({ destination }: Mount) => destination.split("/").filter((name) => name !== "").length;
  return [...defaults.map((mount) => ofPrivileged(spec, mount)), ...spec.mounts].toSorted(
    (a, b) => depth(a) - depth(b),
  );
}

function ofPrivileged({ privileged }: ContainerSpec, mount: Mount): Mount {
  if (!privileged || mount.type !== "sysfs") return mount;
  return { ...mount, options: mount.options.filter((option) => option !== "ro") };
}

const recursive = /^r(?:ro|nosuid|nodev|noexec|nosymfollow|idmap)$/;

function isStaged(mount: Mount): boolean {
  if (mount.type !== "bind" && !mount.options.some((option) => option === "bind" || option === "rbind")) return false;
  const special = mount.options.some((option) => recursive.test(option) || option === "idmap");
  return special || mount.subPath !== undefined || ["shared", "slave"].includes(propagationOf(mount));
}

/** Its attributes are the staged mount's already, in depth too; but some runtimes take away of the mount itself what is not said again. */
function stagedOptions({ idMapping }: ContainerSpec, mount: Mount): readonly string[] {
  const propagation = propagationOf(mount);
  // A root who is nobody on the host can take nothing away, nor say it again.
  const words = idMapping === undefined ? ["ro", "nosuid", "nodev", "noexec"] : [];
  const kept = words.filter((word) => mount.options.some((given) => given === word || given === `r${word}`));
  return ["rbind", ...kept, ...(propagation === "private" ? [] : [`r${propagation}`])];
}

function propagationOf(mount: Mount): MountOptions["propagation"] {
  const parsed = parseMountOptions(mount);
  return typeof parsed === "string" ? "private" : parsed.propagation;
}
