// Which OCI runtimes a node has: those that its configuration names, and runc and crun where they lie on the PATH.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** The handler of the runtime that Naru brings; "" means it, too. */
export const builtInHandler = "naru";

export interface OciProgram {
  /** As RuntimeClasses name it. */
  readonly handler: string;
  /** Absolute. */
  readonly path: string;
  /** Options that all its commands take. */
  readonly args: readonly string[];
  /** Why this node offers it to nobody. */
  readonly refused?: string;
}

const wellKnown = ["runc", "crun"];

/** "runsc=/usr/local/bin/runsc --platform=systrap"; throws with what is wrong. */
export function parseOciProgram(text: string): OciProgram {
  const [, handler, words = ""] = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)=(.+)$/.exec(text) ?? [];
  const [path = "", ...args] = words.split(/\s+/).filter((word) => word !== "");
  if (handler === undefined || !path.startsWith("/"))
    throw new Error(`OCI runtime ${JSON.stringify(text)} must look like NAME=/PATH/OF/PROGRAM [OPTION…]`);
  if (handler === builtInHandler)
    throw new Error(`OCI runtime ${JSON.stringify(text)}: ${builtInHandler} is the built-in runtime's name`);
  return { handler, path, args };
}

/** The configured ones before those on the PATH; throws when a configured one cannot be executed. */
export function findOciPrograms(configured: readonly OciProgram[], path: string | undefined): readonly OciProgram[] {
  const broken = configured.find((program) => !isExecutable(program.path));
  if (broken !== undefined)
    throw new Error(`OCI runtime ${broken.handler}: ${broken.path} is no program that can be executed`);
  const folders = (path ?? "").split(":").filter((folder) => folder.startsWith("/"));
  const found = wellKnown
    .filter((name) => !configured.some(({ handler }) => handler === name))
    .flatMap((handler): readonly OciProgram[] => {
      const there = [...folders, "/usr/local/sbin", "/usr/sbin", "/sbin"].map((folder) => join(folder, handler));
      const first = there.find(isExecutable);
      return first === undefined ? [] : [{ handler, path: first, args: [] }];
    });
  return [...configured, ...found];
}

/**
 * The same ones; below a chroot all of them refused. `exec` of other runtimes enters a container's mount namespace and takes its root for the
 * container's, and below a chroot that is the machine's: whoever may exec would be out.
 */
export function refuseBelowChroot(programs: readonly OciProgram[], launcherPath: string): readonly OciProgram[] {
  if (programs.length === 0 || !isBelowChroot(launcherPath)) return programs;
  const refused = "this node runs below a chroot, where an exec by it would end in the machine's root";
  return programs.map((program) => ({ ...program, refused }));
}

/** Throws when it cannot be told. */
function isBelowChroot(launcherPath: string): boolean {
  const { status, stderr, error } = spawnSync(launcherPath, ["below-chroot"], { encoding: "utf8" });
  if (status === 0 || status === 1) return status === 0;
  throw new Error(`run ${launcherPath} below-chroot: ${stderr || status}`, { cause: error });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
