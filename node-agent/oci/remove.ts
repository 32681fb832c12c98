// Takes a container that has ended away; what `delete` and `run` share.
import type { Globals } from "./command.ts";
import { cgroupLayout, removeLeftovers } from "./container-cgroup.ts";
import { tryHooks } from "./hooks.ts";
import { type ContainerRecord, directoryOf, readConfig, removeDirectory, stateOf } from "./state.ts";

export async function remove(record: ContainerRecord, globals: Globals): Promise<void> {
  const directory = directoryOf(globals.root, record.id);
  const config = readConfig(directory, record);
  await removeLeftovers(cgroupLayout(config), record.cgroupPath);
  removeDirectory(directory);
  for (const error of tryHooks(config.hooks.poststop, stateOf(record, "stopped"))) globals.warn(error.message);
}
