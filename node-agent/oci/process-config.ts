// The process of config.json, also what `exec --process` takes. Source: OCI runtime specification 1.3, config.md, Process.
import { isAbsolute } from "node:path";
import { type CapabilitySets, parseCapabilities } from "./capabilities.ts";
import type { Fields } from "./fields.ts";
import { parseScheduling, type SchedulingConfig } from "./scheduling.ts";

export interface ProcessConfig {
  readonly terminal: boolean;
  readonly consoleSize: { readonly columns: number; readonly rows: number } | undefined;
  readonly cwd: string;
  readonly env: readonly string[];
  readonly args: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly umask: number | undefined;
  /** Without any the process has none. */
  readonly capabilities: CapabilitySets;
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number | undefined;
  readonly rlimits: readonly Rlimit[];
  readonly scheduling: SchedulingConfig;
}

interface Rlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export function parseProcess(process: Fields): ProcessConfig {
  const cwd = process.text("cwd") ?? "";
  const args = process.texts("args");
  if (!isAbsolute(cwd)) throw process.wrong("cwd", "an absolute path is expected");
  if (args.length === 0) throw process.wrong("args", "a program is expected");
  process.refuse("apparmorProfile", "AppArmor is not supported");
  process.refuse("selinuxLabel", "SELinux is not supported");
  const size = process.object("consoleSize");
  const user = process.object("user");
  return {
    terminal: process.flag("terminal"),
    consoleSize:
      size === undefined ? undefined : { columns: size.whole("width") ?? 0, rows: size.whole("height") ?? 0 },
    cwd,
    env: process.texts("env"),
    args,
    user: {
      uid: user?.whole("uid") ?? 0,
      gid: user?.whole("gid") ?? 0,
      additionalGids: user?.wholes("additionalGids") ?? [],
    },
    umask: user?.whole("umask"),
    capabilities: parseCapabilities(process.object("capabilities")),
    noNewPrivileges: process.flag("noNewPrivileges"),
    oomScoreAdj: process.whole("oomScoreAdj"),
    rlimits: parseRlimits(process),
    scheduling: parseScheduling(process),
  };
}

function parseRlimits(process: Fields): readonly Rlimit[] {
  const limits = process.objects("rlimits", parseRlimit);
  const twice = limits.find(({ type }, i) => limits.findIndex((other) => other.type === type) < i);
  if (twice !== undefined) throw process.wrong("rlimits", `${twice.type} is there already`);
  return limits;
}

function parseRlimit(limit: Fields): Rlimit {
  const type = limit.text("type") ?? "";
  const [soft, hard] = [limit.value("soft"), limit.value("hard")];
  // Whole 64 bits are allowed, so no limit comes as a number that JSON cannot hold exactly.
  if (typeof soft !== "number" || typeof hard !== "number") throw limit.wrong("soft", "numbers are expected");
  return { type, soft, hard };
}
