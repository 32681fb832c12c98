// From created to running; what `start` and `run` share.
import type { Globals } from "./command.ts";
import type { OciConfig } from "./config.ts";
import { ConfigError } from "./fields.ts";
import { tryHooks } from "./hooks.ts";
import { startProcess } from "./start-process.ts";
import { type ContainerRecord, directoryOf, startSocketOf, stateOf } from "./state.ts";

export async function start(record: ContainerRecord, config: OciConfig, globals: Globals): Promise<void> {
  if (config.process === undefined) throw new ConfigError("process: a container without one cannot be started");
  await startProcess(startSocketOf(directoryOf(globals.root, record.id)), config.process.args);
  // The program runs: what fails now is worth a warning, and the rest goes on.
  for (const error of tryHooks(config.hooks.poststart, stateOf(record, "running"))) globals.warn(error.message);
}
