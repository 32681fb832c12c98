// Mount options in the OCI runtime specification's words, sorted by who acts on them. Pure.
import type { Mount } from "./runtime.ts";

export interface MountOptions {
  /** Words that the launcher knows: ro, nosuid, nodev, noexec, noatime, strictatime. */
  readonly attributes: readonly string[];
  /** For the file system itself, comma-separated. */
  readonly data: string;
  readonly bind: "plain" | "recursive" | undefined;
}

const attributes = ["ro", "nosuid", "nodev", "noexec", "noatime", "strictatime"];
/** What holds anyway. */
const defaults = ["rw", "suid", "dev", "exec", "atime", "relatime", "private", "rprivate"];
/** Opposites: the later one wins. */
const opposites: Readonly<Record<string, string>> = { rw: "ro", suid: "nosuid", dev: "nodev", exec: "noexec" };
const unsupported = ["shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];

/** A text says why not. */
export function parseMountOptions(mount: Mount): MountOptions | string {
  const kept = new Set<string>();
  const data: string[] = [];
  let bind: MountOptions["bind"] = mount.type === "bind" ? "plain" : undefined;
  for (const option of mount.options) {
    const opposite = opposites[option];
    if (option === "bind" || option === "rbind") bind = option === "rbind" ? "recursive" : "plain";
    else if (attributes.includes(option)) kept.add(option);
    else if (opposite !== undefined) kept.delete(opposite);
    else if (unsupported.includes(option)) return `mount propagation ${option} is not supported`;
    else if (!defaults.includes(option)) data.push(option);
  }
  if (bind !== undefined && data.length > 0) return `a bind mount takes no option ${data.join(",")}`;
  return { attributes: [...kept], data: data.join(","), bind };
}
