// Mount options in the OCI runtime specification's words, sorted by who acts on them. Pure.
import type { Mount } from "./runtime.ts";

export interface MountOptions {
  /** Words that the launcher knows: ro, nosuid, nodev, noexec, noatime, …; with an "r" before for all mounts below too. */
  readonly attributes: readonly string[];
  /** For the file system itself, comma-separated. */
  readonly data: string;
  readonly bind: "plain" | "recursive" | undefined;
  /** What is mounted later on one side is seen on the other: on both, or here what the host mounts. Of a new file system: with others here. */
  readonly propagation: "private" | "slave" | "shared" | "unbindable";
  /** Files belong to the users of the container's user namespace who have the numbers on disk. */
  readonly idmap: boolean;
}

const attributes = ["ro", "nosuid", "nodev", "noexec", "noatime", "strictatime", "nodiratime", "nosymfollow"];
const recursiveAttributes = ["rro", "rnosuid", "rnodev", "rnoexec", "rnosymfollow"];
/** What holds anyway. */
const defaults = ["defaults", "rw", "suid", "dev", "exec", "atime", "relatime", "diratime", "symfollow"];
/** Opposites: the later one wins. */
const opposites: Readonly<Record<string, string>> = {
  rw: "ro",
  suid: "nosuid",
  dev: "nodev",
  exec: "noexec",
  atime: "noatime",
  diratime: "nodiratime",
  symfollow: "nosymfollow",
};
const propagations: Readonly<Record<string, MountOptions["propagation"]>> = {
  private: "private",
  rprivate: "private",
  slave: "slave",
  rslave: "slave",
  shared: "shared",
  rshared: "shared",
  unbindable: "unbindable",
  runbindable: "unbindable",
};

/** All words that mean something but to one file system alone. */
export const mountOptionNames: readonly string[] = [
  ...[
    "bind",
    "rbind",
    "idmap",
    "ridmap",
    ...attributes,
    ...recursiveAttributes,
    ...defaults,
    ...Object.keys(propagations),
  ],
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
    else if (!defaults.includes(option)) data.push(option);
  }
  if (bind !== undefined && data.length > 0) return `a bind mount takes no option ${data.join(",")}`;
  if (bind === undefined && idmap) return "only a bind mount can have idmap";
  if (bind === undefined && mount.subPath !== undefined) return "only a bind mount can have a subPath";
  return { attributes: [...kept], data: data.join(","), bind, propagation, idmap };
}
