// What config.json says about a filter besides its rules: how it is loaded, and who decides over the calls that it leaves open.
// Source: OCI runtime specification, config-linux.md, Seccomp.
import { release } from "node:os";
import { isAbsolute } from "node:path";
import { compileSeccomp } from "../runtime/seccomp.ts";
import { ownSeccompMachine } from "../runtime/seccomp-machines.ts";
import { filterFlags } from "../runtime/seccomp-profile.ts";
import type { Fields } from "./fields.ts";
import type { ProcessConfig } from "./process-config.ts";

export interface SeccompConfig {
  readonly profile: unknown;
  /** As seccomp(2) takes them. */
  readonly flags: number;
  readonly listener: SeccompListener | undefined;
}

interface SeccompListener {
  readonly path: string;
  readonly metadata: string;
}

/** Ready to be loaded. */
export interface SeccompFilter {
  readonly bytes: Buffer;
  readonly flags: number;
  readonly listener: SeccompListener | undefined;
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

/** Throws with the field's path when the profile is not one. */
export function seccompFilter(config: SeccompConfig | undefined, process: ProcessConfig): SeccompFilter | undefined {
  if (config === undefined) return undefined;
  const { profile, flags, listener } = config;
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const context = {
    capabilities: process.capabilities.bounding,
    kernel: [major, minor],
    listener: listener !== undefined,
  } as const;
  return { bytes: compileSeccomp(profile, context, ownSeccompMachine()), flags, listener };
}
