// The filter that a process gets. By itself, since the numbers of all system calls are a lot to read for commands that need none.
import { release } from "node:os";
import { compileSeccomp } from "../runtime/seccomp.ts";
import { ownSeccompMachine } from "../runtime/seccomp-machines.ts";
import type { ProcessConfig } from "./process-config.ts";
import type { SeccompConfig, SeccompListener } from "./seccomp-config.ts";

/** Ready to be loaded. */
export interface SeccompFilter {
  readonly bytes: Buffer;
  /** As seccomp(2) takes them. */
  readonly flags: number;
  readonly listener: SeccompListener | undefined;
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
