// Which OCI runtimes a node has: those that its configuration names, and runc and crun where they lie on the PATH.
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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
