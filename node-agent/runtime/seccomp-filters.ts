// The system call filters of containers: which profile a container gets, and its filter, compiled once for all who want the same.
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { type ContainerSpec, LaunchError } from "./runtime.ts";
import { compileSeccomp } from "./seccomp.ts";
import { ownSeccompMachine } from "./seccomp-machines.ts";

const filtersMax = 64;

export class SeccompFilters {
  readonly #filters = new Map<string, Buffer>();
  #defaultProfile: unknown;

  /** Undefined: every system call is let through. */
  profileOf(spec: ContainerSpec): unknown {
    if (spec.privileged || spec.seccomp === "unconfined") return undefined;
    if (spec.seccomp !== "default") return spec.seccomp.profile;
    this.#defaultProfile ??= JSON.parse(readFileSync(new URL("seccomp-default.json", import.meta.url), "utf8"));
    return this.#defaultProfile;
  }

  /** Undefined without a profile; throws LaunchError for one that cannot be compiled. */
  filterOf(spec: ContainerSpec): Buffer | undefined {
    const profile = this.profileOf(spec);
    if (profile === undefined) return undefined;
    const key = JSON.stringify([spec.capabilities, spec.seccomp]);
    const known = this.#filters.get(key);
    if (known !== undefined) return known;
    const filter = compile(profile, spec.capabilities);
    if (this.#filters.size >= filtersMax) this.#filters.clear();
    this.#filters.set(key, filter);
    return filter;
  }
}

function compile(profile: unknown, capabilities: readonly string[]): Buffer {
  const [major, minor] = release().split(".").map(Number);
  try {
    return compileSeccomp(profile, { capabilities, kernel: [major ?? 0, minor ?? 0] }, ownSeccompMachine());
  } catch (cause) {
    throw new LaunchError(cause instanceof Error ? cause.message : "seccomp profile", 128, { cause });
  }
}
