// Mount options in the OCI runtime specification's words, sorted by who acts on them. Pure.
import type { Mount } from "./runtime.ts";

export interface MountOptions {
  /** Words that the launcher knows: ro, nosuid, nodev, noexec, noatime, strictatime; with an "r" before for all mounts below too. */
  readonly attributes: readonly string[];
  /** For the file system itself, comma-separated. */
  readonly data: string;
  readonly bind: "plain" | "recursive" | undefined;
  /** What is mounted later on one side is seen on the other: on both, or here what the host mounts. */
  readonly propagation: "private" | "slave" | "shared";
  /** Files belong to the users of the container's user namespace who have the numbers on disk. */
  readonly idmap: boolean;
}

const attributes = ["ro", "nosuid", "nodev", "noexec", "noatime", "strictatime"];
const recursiveAttributes = ["rro", "rnosuid", "rnodev", "rnoexec"];
/** What holds anyway. */
const defaults = ["rw", "suid", "dev", "exec", "atime", "relatime"];
/** Opposites: the later one wins. */
const opposites: Readonly<Record<string, string>> = { rw: "ro", suid: "nosuid", dev: "nodev", exec: "noexec" };
const propagations: Readonly<Record<string, MountOptions["propagation"]>> = {
  private: "private",
  rprivate: "private",
  slave: "slave",
  rslave: "slave",
  shared: "shared",
  rshared: "shared",
};
const unsupported = ["unbindable", "runbindable"];

/** All words that mean something but to one file system alone. */
export const mountOptionNames: readonly string[] = [
  ...["bind", "rbind", ...attributes, ...recursiveAttributes, ...defaults, ...Object.keys(propagations)],
].toSorted();

/** A text says why not. */
export function parseMountOptions(mount: Mount): MountOptions | string {
  const kept = new Set<string>();
  const data: string[] = [];
  let bind: MountOptions["bind"] = mount.type === "bind" ? "plain" : undefined;
  let idmap = false;
  let propagation: MountOptions["propagation"] = "private";
  for (const option of mount.options) {
    const opposite = opposites[option];
    if (option === "bind" || option === "rbind") bind = option === "rbind" ? "recursive" : "plain";
    else if (attributes.includes(option) || recursiveAttributes.includes(option)) kept.add(option);
    else if (opposite !== undefined) kept.delete(opposite);
    else if (option === "idmap" || option === "ridmap") idmap = true;
    else if (propagations[option] !== undefined) propagation = propagations[option];
    else if (unsupported.includes(option)) return `mount propagation ${option} is not supported`;
    else if (!defaults.includes(option)) data.push(option);
  }
  if (bind !== undefined && data.length > 0) return `a bind mount takes no option ${data.join(",")}`;
  if (bind === undefined && propagation !== "private") return `only a bind mount can be ${propagation}`;
  if (bind === undefined && idmap) return "only a bind mount can have idmap";
  if (bind === undefined && mount.subPath !== undefined) return "only a bind mount can have a subPath";
  return { attributes: [...kept], data: data.join(","), bind, propagation, idmap };
}
