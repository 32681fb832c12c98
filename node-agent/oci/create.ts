// Makes a container up to its program, which waits; what `create` and `run` share.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { processesOf } from "../runtime/cgroup-files.ts";
import type { CgroupLayout } from "../runtime/cgroups.ts";
import type { ProcessIdentity } from "../runtime/container-directory.ts";
import { prepareCpuset } from "../runtime/cpuset.ts";
import { type Arguments, type OptionSpec, optionValue } from "./arguments.ts";
import { missingCapabilities } from "./capabilities.ts";
import { cgroupPath, controllersOf, planOciCgroup } from "./cgroup.ts";
import type { Globals } from "./command.ts";
import { type OciConfig, parseConfig } from "./config.ts";
import { cgroupLayout, removeLeftovers } from "./container-cgroup.ts";
import { runHooks, tryHooks } from "./hooks.ts";
import { type Launched, launch } from "./once.ts";
import { planCreate } from "./plan.ts";
import type { ProcessConfig } from "./process-config.ts";
import { seccompFilter } from "./seccomp-filter.ts";
import {
  type ContainerRecord,
  makeDirectory,
  removeDirectory,
  saveConfig,
  saveRecord,
  startSocketOf,
  stateAround,
  stateOf,
} from "./state.ts";
import { parseMapText } from "./users.ts";

export const createOptions: readonly OptionSpec[] = [
  { name: "bundle", short: "b", value: "directory", help: "where config.json is (this directory)" },
  { name: "console-socket", value: "path", help: "who gets the terminal's master" },
  { name: "pid-file", value: "path", help: "gets the process's number" },
  { name: "preserve-fds", value: "number", help: "files above 2 that the process inherits" },
  { name: "no-pivot", help: "refused: the root is always pivoted" },
  { name: "no-new-keyring", help: "keep the caller's session keyring" },
];

export interface Created {
  readonly record: ContainerRecord & { readonly process: ProcessIdentity };
  readonly config: OciConfig;
  readonly directory: string;
  readonly exited: Launched["exited"];
}

export async function create(id: string, args: Arguments, globals: Globals, end: "leave" | "stay"): Promise<Created> {
  if (args.flags.has("no-pivot"))
    throw new Error("--no-pivot: a root that is not pivoted can be left; naru-oci does not do it");
  const bundle = resolve(optionValue(args, "bundle") ?? ".");
  const text = readBundle(bundle);
  const config = withUsers(parseConfig(JSON.parse(text), bundle));
  const consoleSocket = optionValue(args, "console-socket");
  checkConsole(config.process, consoleSocket, end);
  if (config.process !== undefined) missingCapabilities(config.process.capabilities).forEach(globals.warn);
  const directory = makeDirectory(globals.root, id);
  const path = cgroupPath(config, id);
  const created = {
    id,
    bundle,
    createdAt: new Date().toISOString(),
    cgroupPath: path,
    annotations: config.annotations,
  };
  const layout = cgroupLayout(config);
  try {
    refuseOthers(layout, path);
  } catch (error) {
    removeDirectory(directory);
    throw error;
  }
  try {
    saveConfig(directory, text);
    saveRecord(directory, created);
    if (layout !== undefined && controllersOf(config.resources).includes("cpuset")) prepareCpuset(layout, path);
    const cgroup = layout === undefined ? undefined : planOciCgroup(layout, path, config.resources);
    const ops = planCreate(config, {
      startSocket: startSocketOf(directory),
      consoleSocket: consoleSocket === undefined ? undefined : resolve(consoleSocket),
      cgroup,
      seccompFilter: config.process === undefined ? undefined : seccompFilter(config.seccomp, config.process),
      state: stateAround(created, "created"),
      newKeyring: !args.flags.has("no-new-keyring"),
    });
    const launched = await launch(ops, {
      end,
      preservedFiles: Number(optionValue(args, "preserve-fds") ?? 0),
      onSync: (process) => {
        const state = stateOf({ ...created, process }, "creating");
        runHooks([...config.hooks.prestart, ...config.hooks.createRuntime], state);
      },
    });
    const record = { ...created, process: launched.process };
    saveRecord(directory, record);
    writePidFile(args, launched.process);
    return { record, config, directory, exited: launched.exited };
  } catch (error) {
    await removeLeftovers(layout, path);
    removeDirectory(directory);
    for (const failure of tryHooks(config.hooks.poststop, stateOf(created, "stopped"))) globals.warn(failure.message);
    throw error;
  }
}

/** A user namespace that others made tells its users itself, where a process of it is named. */
function withUsers(config: OciConfig): OciConfig {
  const path = config.namespaces.find(({ type }) => type === "user")?.path ?? "";
  const [, process] = /^(\/proc\/\d+)\/ns\/user$/.exec(path) ?? [];
  if (process === undefined || config.users !== undefined) return config;
  const ranges = (file: string) => parseMapText(readFileSync(`${process}/${file}`, "utf8"));
  return { ...config, users: { uids: ranges("uid_map"), gids: ranges("gid_map") } };
}

/** A container's end is that of all in its cgroup. */
function refuseOthers(layout: CgroupLayout | undefined, path: string): void {
  const pids = layout === undefined ? [] : processesOf(layout, path);
  if (pids.length > 0)
    throw new Error(`linux.cgroupsPath: cgroup ${path} is not empty: process ${pids.join(", ")} is in it`);
}

export function writePidFile(args: Arguments, { pid }: ProcessIdentity): void {
  const path = optionValue(args, "pid-file");
  if (path !== undefined) writeFileSync(path, String(pid));
}

/** A terminal needs somebody at its other end. */
export function checkConsole(
  process: ProcessConfig | undefined,
  socket: string | undefined,
  end: "leave" | "stay",
): void {
  const terminal = process?.terminal === true;
  if (terminal && socket === undefined && end === "leave")
    throw new Error("process.terminal needs --console-socket, unless naru-oci stays in the foreground");
  if (!terminal && socket !== undefined) throw new Error("--console-socket is only for a process with a terminal");
}

function readBundle(bundle: string): string {
  try {
    return readFileSync(join(bundle, "config.json"), "utf8");
  } catch (cause) {
    throw new Error(`read ${bundle}/config.json`, { cause });
  }
}
