// naru-oci start: the program of a created container.
import { type Command, requireId } from "../command.ts";
import { start } from "../start.ts";
import { directoryOf, readConfig, readRecord, statusOf } from "../state.ts";

export const startCommand: Command = {
  name: "start",
  usage: "start <id>",
  help: "run the program of a created container",
  options: [],
  async run(args, globals) {
    const id = requireId(args);
    const record = readRecord(globals.root, id);
    const status = statusOf(globals.root, record);
    if (status !== "created") throw new Error(`container ${id} is ${status}, only a created one can be started`);
    await start(record, readConfig(directoryOf(globals.root, id), record), globals);
    return 0;
  },
};
