// What config.json says about a filter besides its rules: how it is loaded, and who decides over the calls that it leaves open.
// Source: OCI runtime specification, config-linux.md, Seccomp.
import { isAbsolute } from "node:path";
import { filterFlags } from "../runtime/seccomp-profile.ts";
import type { Fields } from "./fields.ts";

export interface SeccompConfig {
  readonly profile: unknown;
  /** As seccomp(2) takes them. */
  readonly flags: number;
  readonly listener: SeccompListener | undefined;
}

export interface SeccompListener {
  readonly path: string;
  readonly metadata: string;
}

export function parseSeccomp(seccomp: Fields | undefined): SeccompConfig | undefined {
  if (seccomp === undefined) return undefined;
  const path = seccomp.text("listenerPath") ?? "";
  const metadata = seccomp.text("listenerMetadata") ?? "";
  if (path !== "" && !isAbsolute(path)) throw seccomp.wrong("listenerPath", "an absolute path is expected");
  if (path === "" && metadata !== "")
    throw seccomp.wrong("listenerMetadata", "is for a listenerPath, and there is none");
  return {
    profile: Object.fromEntries(seccomp.names().map((name) => [name, seccomp.value(name)])),
    flags: filterFlags(seccomp.texts("flags")),
    listener: path === "" ? undefined : { path, metadata },
  };
}
