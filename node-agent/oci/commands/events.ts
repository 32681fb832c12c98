// naru-oci events: what a container uses, a line of JSON each time, in the form that runc gave it.
import { realClock, sleep } from "../../../lib/clock.ts";
import { readStats } from "../../runtime/cgroup-files.ts";
import type { CgroupLayout } from "../../runtime/cgroups.ts";
import { optionValue } from "../arguments.ts";
import { type Command, type Globals, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { type ContainerRecord, directoryOf, readConfig, readRecord, statusOf } from "../state.ts";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const eventsCommand: Command = {
  name: "events",
  usage: "events [--interval <duration>] [--stats] <id>",
  help: "print what a container uses until it ends, and when it ran out of memory",
  options: [
    { name: "interval", value: "duration", help: "such as 500ms or 5s, which is usual" },
    { name: "stats", help: "once" },
  ],
  async run(args, globals) {
    const record = readRecord(globals.root, requireId(args));
    const intervalMs = durationMs(optionValue(args, "interval") ?? "5s");
    if (!isRunning(globals, record)) throw new Error(`container ${record.id} is not running`);
    const layout = cgroupLayout(readConfig(directoryOf(globals.root, record.id), record));
    if (layout === undefined) throw new Error("this machine has no cgroups");
    let oomKills = readStats(layout, record.cgroupPath).oomKills;
    for (; isRunning(globals, record); await sleep(realClock, intervalMs)) {
      oomKills = print(layout, record, oomKills);
      if (args.flags.has("stats")) return 0;
    }
    return 0;
  },
};

function isRunning({ root }: Globals, record: ContainerRecord): boolean {
  return statusOf(root, record) !== "stopped";
}

/** Gives how many were killed for want of memory by now. */
function print(layout: CgroupLayout, { id, cgroupPath }: ContainerRecord, before: number): number {
  const { cpuUsageNs, memoryUsageBytes, memoryWorkingSetBytes, pids, oomKills } = readStats(layout, cgroupPath);
  if (oomKills > before) console.log(JSON.stringify({ type: "oom", id }));
  const data = {
    cpu: { usage: { total: cpuUsageNs } },
    memory: { usage: { usage: memoryUsageBytes }, workingSet: memoryWorkingSetBytes },
    pids: { current: pids },
  };
  console.log(JSON.stringify({ type: "stats", id, data }));
  return oomKills;
}

function durationMs(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const found = Math.round(Number(number) * (unitMs[unit] ?? 0));
  if (!(found > 0)) throw new Error(`--interval ${text}: a duration such as 500ms or 5s is expected`);
  return found;
}
