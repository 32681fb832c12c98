// From created to running; what `start` and `run` share.
import type { Globals } from "./command.ts";
import type { OciConfig } from "./config.ts";
import { ConfigError } from "./fields.ts";
import { runHooks } from "./hooks.ts";
import { startProcess } from "./start-process.ts";
import { type ContainerRecord, directoryOf, startSocketOf, stateOf } from "./state.ts";

export async function start(record: ContainerRecord, config: OciConfig, { root }: Globals): Promise<void> {
  if (config.process === undefined) throw new ConfigError("process: a container without one cannot be started");
  await startProcess(startSocketOf(directoryOf(root, record.id)), config.process.args);
  try {
    runHooks(config.hooks.poststart, stateOf(record, "running"));
  } catch (error) {
    if (record.process !== undefined) process.kill(record.process.pid, "SIGKILL");
    throw error;
  }
}
