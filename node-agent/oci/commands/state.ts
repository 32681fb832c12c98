// naru-oci state: the specification's state, as JSON.

import { planFreeze } from "../../runtime/cgroups.ts";
import { readOptional } from "../../runtime/container-directory.ts";
import { type Command, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { type ContainerRecord, directoryOf, readConfig, readRecord, type Status, stateOf, statusOf } from "../state.ts";

export const stateCommand: Command = {
  name: "state",
  usage: "state <id>",
  help: "print a container's state",
  options: [],
  run(args, globals) {
    const record = readRecord(globals.root, requireId(args));
    const state = { ...stateOf(record, wholeStatus(globals.root, record)), created: record.createdAt };
    console.log(JSON.stringify(state, undefined, 2));
    return 0;
  },
};

/** With what only its cgroup knows. */
export function wholeStatus(root: string, record: ContainerRecord): Status {
  const status = statusOf(root, record);
  if (status !== "running") return status;
  const layout = cgroupLayout(readConfig(directoryOf(root, record.id), record));
  const plan = layout === undefined ? undefined : planFreeze(layout, record.cgroupPath, "frozen");
  const frozen = plan !== undefined && readOptional(plan.done.path)?.split("\n").includes(plan.done.line) === true;
  return frozen ? "paused" : status;
}
