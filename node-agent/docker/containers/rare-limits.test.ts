// Limits that few containers have, as the files of cgroups they become.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonObject } from "../http/json.ts";
import { logLimitsOf } from "./log-options.ts";
import { checkProcessors, parseDeviceRule, parseRareOptions, parseRareUpdate, planRareLimits } from "./rare-limits.ts";
import type { HostConfig } from "./record.ts";

const read = (body: object) => {
  const json = new JsonObject(body, "HostConfig");
  return { ...parseRareUpdate(json), ...parseRareOptions(json) } as HostConfig;
};

test("planRareLimits writes CPUs, weights, rates and swapping in the words of both versions", () => {
  const host = read({
    ...{ CpusetCpus: "0-1", CpusetMems: "0", BlkioWeight: 1000, MemorySwappiness: 10, OomKillDisable: true },
    BlkioDeviceWriteBps: [{ Path: "/dev/a", Rate: 1024 }],
  });
  const optional = true;
  assert.deepEqual(
    planRareLimits(host, () => ({ major: 8, minor: 0 })),
    [
      { v1: [{ name: "cpuset.cpus", value: "0-1" }], v2: [{ name: "cpuset.cpus", value: "0-1" }] },
      { v1: [{ name: "cpuset.mems", value: "0" }], v2: [{ name: "cpuset.mems", value: "0" }] },
      {
        v1: [{ name: "blkio.bfq.weight", value: "1000", optional }],
        v2: [
          { name: "io.bfq.weight", value: "1000", optional },
          { name: "io.weight", value: "10000", optional },
        ],
      },
      {
        v1: [{ name: "blkio.throttle.write_bps_device", value: "8:0 1024" }],
        v2: [{ name: "io.max", value: "8:0 wbps=1024" }],
      },
      { v1: [{ name: "memory.swappiness", value: "10", optional }], v2: [] },
      { v1: [{ name: "memory.oom_control", value: "1" }], v2: [] },
    ],
  );
});

test("parseRareOptions and their like refuse what no kernel takes, as docker's engine does", () => {
  const limits = (Config: Readonly<Record<string, string>>) =>
    logLimitsOf({ LogConfig: { Type: "json-file", Config } });
  assert.deepEqual(
    [
      () => read({ CpusetCpus: "0;1" }),
      () => read({ BlkioWeight: 5 }),
      () => read({ MemorySwappiness: 101 }),
      () => read({ DeviceCgroupRules: ["c 1 rwm"] }),
      () => checkProcessors({ ...read({}), NanoCpus: 3e9 }, 2),
      () => checkProcessors(read({ CpusetCpus: "0,2" }), 2),
      () => limits({ "max-size": "much" }),
      () => limits({ "max-file": "0" }),
    ].map((act) => {
      try {
        return act();
      } catch (error) {
        return (error as Error).message;
      }
    }),
    [
      "Invalid value 0;1 for cpuset cpus",
      "Range of blkio weight is from 10 to 1000",
      "Invalid value: 101, valid memory swappiness range is 0-100",
      "invalid device cgroup rule format: 'c 1 rwm'",
      "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
      "Requested CPUs are not available - requested 0,2, available: 0-1",
      "invalid log opt max-size=much: a size such as 10m is expected",
      "invalid log opt max-file=0: a number from 1 on is expected",
    ],
  );
  assert.deepEqual(limits({ "max-size": "1.5k", "max-file": "2" }), { logFileBytesMax: 1536, logFilesMax: 2 });
});

test("parseDeviceRule reads both types and all numbers", () => {
  assert.deepEqual(["c 10:200 rw", "a *:* m"].map(parseDeviceRule), [
    [{ type: "c", major: 10, minor: 200, access: "rw" }],
    [
      { type: "c", access: "m" },
      { type: "b", access: "m" },
    ],
  ]);
});
