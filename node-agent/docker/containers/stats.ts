// What a container uses, in the shape that `docker stats` computes its percentages from.
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import type { LinkCounters } from "../../runtime/link-counters.ts";
import type { ContainerStats } from "../../runtime/runtime.ts";
import type { ContainerRecord } from "./record.ts";

const ticksPerSecond = 100;

export interface StatsSample {
  readonly atMs: number;
  readonly cgroup: ContainerStats | undefined;
  /** All CPUs of the node together, in ns. */
  readonly systemNs: number;
  readonly networks: Readonly<Record<string, LinkCounters>>;
}

/** Zeros for one that does not run. */
export function showStats(record: ContainerRecord, sample: StatsSample, before: StatsSample | undefined): unknown {
  const { cgroup } = sample;
  const pidsMax = record.hostConfig.PidsLimit;
  const limit = record.hostConfig.Memory > 0 ? record.hostConfig.Memory : totalmem();
  const cached = cgroup === undefined ? 0 : cgroup.memoryUsageBytes - cgroup.memoryWorkingSetBytes;
  return {
    name: `/${record.name}`,
    id: record.id,
    os_type: "linux",
    read: new Date(sample.atMs).toISOString(),
    preread: before === undefined ? "0001-01-01T00:00:00Z" : new Date(before.atMs).toISOString(),
    num_procs: 0,
    pids_stats: cgroup === undefined ? {} : { current: cgroup.pids, ...(pidsMax > 0 ? { limit: pidsMax } : {}) },
    blkio_stats: {
      io_service_bytes_recursive: null,
      io_serviced_recursive: null,
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    storage_stats: {},
    cpu_stats: cpuStats(sample),
    precpu_stats: cpuStats(before),
    memory_stats:
      cgroup === undefined
        ? {}
        : {
            usage: cgroup.memoryUsageBytes,
            limit,
            stats: { total_inactive_file: cached, inactive_file: cached },
          },
    ...(Object.keys(sample.networks).length === 0 ? {} : { networks: sample.networks }),
  };
}

function cpuStats(sample: StatsSample | undefined): unknown {
  const throttling_data = { periods: 0, throttled_periods: 0, throttled_time: 0 };
  const total_usage = sample?.cgroup?.cpuUsageNs ?? 0;
  const cpu_usage = { total_usage, usage_in_kernelmode: 0, usage_in_usermode: total_usage };
  if (sample?.cgroup === undefined) return { cpu_usage, throttling_data };
  return { cpu_usage, system_cpu_usage: sample.systemNs, online_cpus: cpus().length, throttling_data };
}

export function systemNs(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const ticks = line
    .split(/\s+/)
    .slice(1, 9)
    .reduce((sum, value) => sum + Number(value), 0);
  return ticks * (1e9 / ticksPerSecond);
}
