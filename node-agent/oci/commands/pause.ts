// naru-oci pause and resume: freezes all processes of a container, and lets them go on.
import { realClock } from "../../../lib/clock.ts";
import { freeze } from "../../runtime/cgroup-files.ts";
import { type Command, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { directoryOf, readConfig, readRecord } from "../state.ts";
import { wholeStatus } from "./state.ts";

export const pauseCommand: Command = {
  name: "pause",
  usage: "pause <id>",
  help: "freeze a running container",
  options: [],
  run: (args, { root }) => change(root, requireId(args), "running", "frozen"),
};

export const resumeCommand: Command = {
  name: "resume",
  usage: "resume <id>",
  help: "let a paused container go on",
  options: [],
  run: (args, { root }) => change(root, requireId(args), "paused", "thawed"),
};

async function change(root: string, id: string, from: "running" | "paused", to: "frozen" | "thawed"): Promise<number> {
  const record = readRecord(root, id);
  const status = wholeStatus(root, record);
  if (status !== from) throw new Error(`container ${id} is ${status}, only a ${from} one can be ${to}`);
  const layout = cgroupLayout(readConfig(directoryOf(root, id), record));
  if (layout === undefined) throw new Error("this machine has no cgroups");
  await freeze(layout, record.cgroupPath, to, realClock);
  return 0;
}
