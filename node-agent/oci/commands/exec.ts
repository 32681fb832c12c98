// naru-oci exec: another process in a running container.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Arguments, type OptionSpec, optionValue } from "../arguments.ts";
import type { Command } from "../command.ts";
import { cgroupOf } from "../container-cgroup.ts";
import { checkConsole, writePidFile } from "../create.ts";
import { planOciExec } from "../exec-plan.ts";
import { Fields } from "../fields.ts";
import { launch } from "../once.ts";
import { type ProcessConfig, parseProcess } from "../process-config.ts";
import { seccompFilter } from "../seccomp-filter.ts";
import { directoryOf, readConfig, readRecord, stateAround } from "../state.ts";
import { forwardSignals } from "./run.ts";
import { wholeStatus } from "./state.ts";

const options: readonly OptionSpec[] = [
  { name: "process", short: "p", value: "file", help: "the process as JSON, instead of a program" },
  { name: "console-socket", value: "path", help: "who gets the terminal's master" },
  { name: "pid-file", value: "path", help: "gets the process's number" },
  { name: "preserve-fds", value: "number", help: "files above 2 that the process inherits" },
  { name: "detach", short: "d", help: "do not wait for its end" },
  { name: "tty", short: "t", help: "with a terminal" },
  { name: "cwd", value: "directory", help: "working directory" },
  { name: "env", short: "e", value: "name=value", help: "a variable more" },
  { name: "user", short: "u", value: "uid[:gid]", help: "user" },
  { name: "additional-gids", short: "g", value: "gid", help: "a group more" },
  { name: "cap", short: "c", value: "capability", help: "a capability more" },
  { name: "no-new-privs", help: "with no_new_privs" },
  { name: "ignore-paused", help: "wait for a paused container" },
];

export const execCommand: Command = {
  name: "exec",
  usage: "exec [options] <id> <program> [<argument>…]",
  help: "run another process in a container",
  options,
  takesProgram: true,
  async run(args, globals) {
    const [id, ...program] = args.rest;
    if (id === undefined) throw new Error("a container's id is expected");
    const record = readRecord(globals.root, id);
    const status = wholeStatus(globals.root, record);
    if (status === "paused" && !args.flags.has("ignore-paused")) throw new Error(`container ${id} is paused`);
    if (status === "stopped" || record.process === undefined) throw new Error(`cannot exec in a ${status} container`);
    const config = readConfig(directoryOf(globals.root, id), record);
    const wanted = processOf(args, program, config.process);
    const end = args.flags.has("detach") ? "leave" : "stay";
    const consoleSocket = optionValue(args, "console-socket");
    checkConsole(wanted, consoleSocket, end);
    const ops = planOciExec(config, wanted, record.process, {
      consoleSocket: consoleSocket === undefined ? undefined : resolve(consoleSocket),
      cgroup: cgroupOf(config, record),
      seccompFilter: seccompFilter(config.seccomp, wanted),
      state: stateAround(record, "running"),
      newKeyring: true,
    });
    const launched = await launch(ops, { end, preservedFiles: Number(optionValue(args, "preserve-fds") ?? 0) });
    writePidFile(args, launched.process);
    if (end === "leave") return 0;
    const stop = forwardSignals(launched.process.pid);
    const exitCode = await launched.exited;
    stop();
    return exitCode;
  },
};

function processOf(args: Arguments, program: readonly string[], own: ProcessConfig | undefined): ProcessConfig {
  const file = optionValue(args, "process");
  if (file !== undefined) return parseProcess(new Fields(JSON.parse(readFileSync(file, "utf8")), "process"));
  if (own === undefined) throw new Error("the container has no process to take settings from: use --process");
  if (program.length === 0) throw new Error("a program is expected");
  const more = args.values.get("cap") ?? [];
  const { capabilities } = own;
  return {
    ...own,
    args: program,
    terminal: args.flags.has("tty"),
    consoleSize: undefined,
    cwd: optionValue(args, "cwd") ?? own.cwd,
    env: [...own.env, ...(args.values.get("env") ?? [])],
    user: userOf(args, own.user),
    capabilities: {
      ...capabilities,
      bounding: [...capabilities.bounding, ...more],
      effective: [...capabilities.effective, ...more],
      permitted: [...capabilities.permitted, ...more],
    },
    noNewPrivileges: own.noNewPrivileges || args.flags.has("no-new-privs"),
  };
}

function userOf(args: Arguments, own: ProcessConfig["user"]): ProcessConfig["user"] {
  const text = optionValue(args, "user");
  const groups = (args.values.get("additional-gids") ?? []).map(Number);
  const additionalGids = [...own.additionalGids, ...groups];
  if (text === undefined) return { ...own, additionalGids };
  const [uid = "", gid = "0"] = text.split(":");
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) throw new Error(`--user ${text}: numbers are expected`);
  return { uid: Number(uid), gid: Number(gid), additionalGids };
}
