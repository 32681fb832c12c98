// naru-oci delete: what is left of a container that has ended.
import { realClock, sleep } from "../../../lib/clock.ts";
import { endProcesses } from "../../runtime/cgroup-files.ts";
import { isAlive } from "../../runtime/container-directory.ts";
import { type Command, type Globals, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { remove } from "../remove.ts";
import { type ContainerRecord, directoryOf, readConfig, readRecord, removeDirectory, statusOf } from "../state.ts";

const waitTriesMax = 1000;
const waitMs = 10;

export const deleteCommand: Command = {
  name: "delete",
  usage: "delete [--force] <id>",
  help: "remove a stopped container",
  options: [{ name: "force", short: "f", help: "kill it first if it runs; no failure when it is not there" }],
  async run(args, globals) {
    const id = requireId(args);
    const force = args.flags.has("force");
    let record: ContainerRecord;
    try {
      record = readRecord(globals.root, id);
    } catch (error) {
      if (!force) throw error;
      // A killed `create` may have left the directory alone.
      removeDirectory(directoryOf(globals.root, id));
      return 0;
    }
    const status = statusOf(globals.root, record);
    if (status !== "stopped" && !force)
      throw new Error(`container ${id} is ${status}, only a stopped one can be deleted`);
    await end(record, globals);
    await remove(record, globals);
    return 0;
  },
};

async function end(record: ContainerRecord, { root }: Globals): Promise<void> {
  const { id, process: first, cgroupPath } = record;
  for (let tries = 0; first !== undefined && isAlive(first); tries++) {
    if (tries >= waitTriesMax) throw new Error(`container ${id}: its process ${first.pid} does not end`);
    if (tries === 0) {
      process.kill(first.pid, "SIGKILL");
      const layout = cgroupLayout(readConfig(directoryOf(root, id), record));
      if (layout !== undefined) endProcesses(layout, cgroupPath);
    }
    await sleep(realClock, waitMs);
  }
}
