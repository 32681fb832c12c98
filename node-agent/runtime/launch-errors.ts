// What the launcher's refusals mean to who wanted a process: words, an exit code as shells and runc have it, the mount at fault. Pure.

import type { LaunchOp } from "./launch-op.ts";
import { LauncherError } from "./launcher-client.ts";
import { ociLaunchError } from "./oci-runtime.ts";
import { LaunchError } from "./runtime.ts";

const eperm = 1;
const enoent = 2;
const enoexec = 8;
const eacces = 13;
const enotdir = 20;
const eisdir = 21;
/** A runtime that was asked refused: what failed is its words. */
const eremoteio = 121;

/** `ops` is the plan that the launcher was given. Other errors come back as they are. */
export function asLaunchError(error: unknown, ops: readonly LaunchOp[]): unknown {
  if (!(error instanceof LauncherError)) return error;
  if (error.errno === eremoteio) return ociLaunchError(error.what, error);
  const [name, ...args] = (error.opIndex === undefined ? undefined : ops[error.opIndex]) ?? [];
  const subPathOf = (name === "bind" || name === "hold") && args[1] !== "" ? String(args[2]) : undefined;
  return new LaunchError(error.message, name === "exec" ? execExitCode(error.errno) : 128, { cause: error, subPathOf });
}

function execExitCode(errno: number): number {
  if (errno === enoent || errno === enotdir) return 127;
  return [eacces, enoexec, eisdir, eperm].includes(errno) ? 126 : 128;
}
