// naru-oci run: create, start, and unless detached wait for the end and delete.
import { constants } from "node:os";
import { type Command, requireId } from "../command.ts";
import { create, createOptions } from "../create.ts";
import { remove } from "../remove.ts";
import { start } from "../start.ts";

export const runCommand: Command = {
  name: "run",
  usage: "run [options] <id>",
  help: "create and start a container; in the foreground unless --detach",
  options: [
    ...createOptions,
    { name: "detach", short: "d", help: "do not wait for its end" },
    { name: "keep", help: "do not delete it after its end" },
    { name: "no-subreaper", help: "accepted: naru-oci is none" },
  ],
  async run(args, globals) {
    const detach = args.flags.has("detach");
    const { record, config, exited } = await create(requireId(args), args, globals, detach ? "leave" : "stay");
    try {
      await start(record, config, globals);
    } catch (error) {
      await endAndRemove(record.process.pid, exited, () => remove(record, globals));
      throw error;
    }
    if (detach) return 0;
    const stop = forwardSignals(record.process.pid);
    const exitCode = await exited;
    stop();
    if (!args.flags.has("keep")) await remove(record, globals);
    return exitCode;
  },
};

async function endAndRemove(pid: number, exited: Promise<number>, removal: () => Promise<void>): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
  await exited.catch(() => undefined);
  await removal();
}

const notForwarded: readonly string[] = [
  "SIGKILL",
  "SIGSTOP",
  "SIGCHLD",
  "SIGPIPE",
  "SIGURG",
  "SIGWINCH",
  "SIGPROF",
  "SIGVTALRM",
];
// Faults of our own.
const faults: readonly string[] = [
  "SIGSEGV",
  "SIGBUS",
  "SIGFPE",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGIOT",
  "SIGSYS",
  "SIGSTKFLT",
];

export function forwardSignals(pid: number): () => void {
  const names = Object.keys(constants.signals) as NodeJS.Signals[];
  const wanted = names.filter((name) => !notForwarded.includes(name) && !faults.includes(name));
  const handlers = wanted.map((name) => {
    const handler = () => {
      try {
        process.kill(pid, name);
      } catch {
        // It has ended; its exit code comes.
      }
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
}
