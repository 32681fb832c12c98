// naru-oci update: other limits for a running container.
import { readFileSync } from "node:fs";
import { applyWrites, readStats } from "../../runtime/cgroup-files.ts";
import type { CgroupLayout } from "../../runtime/cgroups.ts";
import { type OptionSpec, optionValue } from "../arguments.ts";
import { planOciCgroup } from "../cgroup.ts";
import { type Command, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { Fields } from "../fields.ts";
import { parseResources, type ResourceConfig } from "../resource-config.ts";
import { readRecord } from "../state.ts";

const options: readonly OptionSpec[] = [
  { name: "resources", short: "r", value: "file", help: 'linux.resources as JSON; "-" reads standard input' },
  { name: "memory", value: "bytes", help: "memory" },
  { name: "memory-swap", value: "bytes", help: "memory and swap" },
  { name: "memory-reservation", value: "bytes", help: "memory kept when it is short" },
  { name: "cpu-share", value: "shares", help: "share of CPU time" },
  { name: "cpu-period", value: "microseconds", help: "period of the quota" },
  { name: "cpu-quota", value: "microseconds", help: "CPU time in a period" },
  { name: "cpu-rt-period", value: "microseconds", help: "period of the time for real-time processes" },
  { name: "cpu-rt-runtime", value: "microseconds", help: "time for real-time processes in a period" },
  { name: "cpuset-cpus", value: "list", help: "CPUs" },
  { name: "cpuset-mems", value: "list", help: "memory nodes" },
  { name: "pids-limit", value: "number", help: "processes" },
  { name: "cpu-burst", value: "microseconds", help: "CPU time that may be saved up" },
  { name: "cpu-idle", value: "0|1", help: "run only when nothing else does" },
  { name: "blkio-weight", value: "weight", help: "share of the disks, 10 to 1000" },
];

export const updateCommand: Command = {
  name: "update",
  usage: "update [options] <id>",
  help: "change a running container's limits",
  options,
  run(args, { root }) {
    const record = readRecord(root, requireId(args));
    const file = optionValue(args, "resources");
    const number = (name: string) => {
      const text = optionValue(args, name);
      return text === undefined ? undefined : Number(text);
    };
    const given =
      file === undefined
        ? {
            memory: {
              limit: number("memory"),
              swap: number("memory-swap"),
              reservation: number("memory-reservation"),
            },
            cpu: {
              shares: number("cpu-share"),
              period: number("cpu-period"),
              quota: number("cpu-quota"),
              burst: number("cpu-burst"),
              idle: number("cpu-idle"),
              realtimePeriod: number("cpu-rt-period"),
              realtimeRuntime: number("cpu-rt-runtime"),
              cpus: optionValue(args, "cpuset-cpus"),
              mems: optionValue(args, "cpuset-mems"),
            },
            blockIO: { weight: number("blkio-weight") },
            pids: number("pids-limit") === undefined ? undefined : { limit: number("pids-limit") },
          }
        : JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
    const resources = parseResources(new Fields(given, "resources"));
    const layout = cgroupLayout({ resources });
    if (layout === undefined) throw new Error("this machine has no cgroups");
    if (resources.checkBeforeUpdate) checkMemory(layout, record.cgroupPath, resources);
    const { cgroup } = planOciCgroup(layout, record.cgroupPath, resources);
    // What devices it may use is not changed by other limits.
    applyWrites(
      cgroup.writes.filter(({ path }) => !/\/(?:devices\.(?:allow|deny)|cgroup\.subtree_control)$/.test(path)),
    );
    return 0;
  },
};

/** Version 1 does so by itself; version 2 would rather kill. */
function checkMemory(layout: CgroupLayout, path: string, { limits }: ResourceConfig): void {
  const { memoryBytesMax = -1 } = limits;
  const { memoryUsageBytes } = readStats(layout, path);
  if (memoryBytesMax >= 0 && memoryUsageBytes > memoryBytesMax)
    throw new Error(`memory.limit: ${memoryBytesMax} bytes, and ${memoryUsageBytes} are in use`);
}
