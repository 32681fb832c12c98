// Mount options in the OCI runtime specification's words, sorted by who acts on them. Pure.
import type { Mount } from "./runtime.ts";

export interface MountOptions {
  /** Words that the launcher knows: ro, nosuid, sync, …; for all mounts below too: set with an "r" before, cleared with a "-". */
  readonly attributes: readonly string[];
  /** For the file system itself, comma-separated. */
  readonly data: string;
  readonly bind: "plain" | "recursive" | undefined;
  /** Between this mount and others, of what is mounted later; `slave` and `shared` binds share with the host. */
  readonly propagation: "private" | "slave" | "shared" | "unbindable";
  /** Files belong to the users of the container's user namespace who have the numbers on disk; `recursive`: of all mounts below too. */
  readonly idmap: "plain" | "recursive" | undefined;
}

/** With the words that undo them: the later one wins. */
const attributes: Readonly<Record<string, readonly string[]>> = {
  ro: ["rw"],
  nosuid: ["suid"],
  nodev: ["dev"],
  noexec: ["exec"],
  noatime: ["atime", "relatime"],
  strictatime: ["nostrictatime", "relatime"],
  nodiratime: ["diratime"],
  nosymfollow: ["symfollow"],
  sync: ["async"],
  dirsync: [],
  lazytime: ["nolazytime"],
  iversion: ["noiversion"],
  silent: ["loud"],
  remount: [],
};
/** Those that mount_setattr(2) takes for a whole tree. */
const recursive = ["ro", "nosuid", "nodev", "noexec", "noatime", "strictatime", "nodiratime", "nosymfollow"];
/** What is so anyway, or what no kernel knows any more. */
const ignored = ["defaults", "norelatime", "rnorelatime", "mand", "nomand"];
const undoing = [...new Set(Object.values(attributes).flat())];
const clearing: Readonly<Record<string, string>> = Object.fromEntries(
  recursive.flatMap((name) => (attributes[name] ?? []).map((opposite) => [`r${opposite}`, `-${name}`])),
);
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
  ...["bind", "rbind", "idmap", "ridmap"],
  ...Object.keys(attributes),
  ...undoing,
  ...recursive.map((name) => `r${name}`),
  ...Object.keys(clearing),
  ...ignored,
  ...Object.keys(propagations),
].toSorted();

/** A text says why not. */
export function parseMountOptions(mount: Mount): MountOptions | string {
  const kept = new Set<string>();
  const data: string[] = [];
  let bind: MountOptions["bind"] = mount.type === "bind" ? "plain" : undefined;
  let idmap: MountOptions["idmap"];
  let propagation: MountOptions["propagation"] = "private";
  for (const option of mount.options) {
    const cleared = clearing[option];
    if (option === "bind" || option === "rbind") bind = option === "rbind" ? "recursive" : "plain";
    else if (option === "idmap" || option === "ridmap") idmap = option === "ridmap" ? "recursive" : "plain";
    else if (attributes[option] !== undefined || isRecursive(option)) kept.add(option);
    else if (undoing.includes(option)) undo(kept, option);
    else if (cleared !== undefined) replace(kept, `r${cleared.slice(1)}`, cleared);
    else if (propagations[option] !== undefined) propagation = propagations[option];
    else if (!ignored.includes(option)) data.push(option);
  }
  if (bind !== undefined && data.length > 0) return `a bind mount takes no option ${data.join(",")}`;
  if (bind !== undefined && kept.has("remount")) return "remount is for new file systems";
  if (bind === undefined && idmap !== undefined) return "only a bind mount can have idmap";
  if (bind === undefined && mount.subPath !== undefined) return "only a bind mount can have a subPath";
  return { attributes: [...kept], data: data.join(","), bind, propagation, idmap };
}

function isRecursive(option: string): boolean {
  return option.startsWith("r") && recursive.includes(option.slice(1));
}

function undo(kept: Set<string>, option: string): void {
  for (const [name, opposites] of Object.entries(attributes)) if (opposites.includes(option)) kept.delete(name);
}

function replace(kept: Set<string>, old: string, value: string): void {
  kept.delete(old);
  kept.add(value);
}
