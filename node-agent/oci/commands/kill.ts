// naru-oci kill: a signal to a container's first process, or to all.
import { signalNumber } from "../../../lib/signals.ts";
import { endProcesses, killAll } from "../../runtime/cgroup-files.ts";
import { type Command, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { directoryOf, readConfig, readRecord, statusOf } from "../state.ts";
import { wholeStatus } from "./state.ts";

export const killCommand: Command = {
  name: "kill",
  usage: "kill [--all] <id> [<signal>]",
  help: "send a signal, SIGTERM unless another is named",
  options: [{ name: "all", short: "a", help: "to all processes of the container" }],
  run(args, globals) {
    const id = requireId(args);
    const record = readRecord(globals.root, id);
    const signal = signalOf(args.rest[1] ?? "SIGTERM");
    const status = statusOf(globals.root, record);
    const config = readConfig(directoryOf(globals.root, id), record);
    const layout = cgroupLayout(config);
    if (args.flags.has("all")) {
      if (layout !== undefined) killAll(layout, record.cgroupPath, signal);
      return 0;
    }
    // The words that containerd and podman look for.
    if (status === "stopped" || record.process === undefined) throw new Error("container not running");
    process.kill(record.process.pid, signal);
    // Its end is the end of all where it has pids of its own. Version 1 lets nothing end that is frozen.
    const isAlone = config.namespaces.some(({ type, path }) => type === "pid" && path === undefined);
    if (signal === 9 && layout !== undefined && (!isAlone || wholeStatus(globals.root, record) === "paused"))
      endProcesses(layout, record.cgroupPath);
    return 0;
  },
};

// 0 asks whether it is there.
function signalOf(text: string): number {
  const number = text === "0" ? 0 : signalNumber(text);
  if (number === undefined) throw new Error(`signal ${text}: no such signal`);
  return number;
}
