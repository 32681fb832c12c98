// What a node reports of itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pressure } from "./eviction/plan-eviction.ts";
import { parseReserved } from "./eviction/reserve.ts";
import { hardDefault, parseThresholds } from "./eviction/thresholds.ts";
import { type NodeLoad, nodeStatus, readLoad, readMachine } from "./node-status.ts";
import { builtInHandlers } from "./runtime/oci-handlers.ts";

const load: NodeLoad = {
  memoryBytes: 4 * 2 ** 30,
  memoryAvailableBytes: 2 ** 30,
  diskBytes: 100 * 2 ** 30,
  diskAvailableBytes: 50 * 2 ** 30,
  inodes: 1000,
  inodesFree: 500,
  tasks: 100,
  tasksMax: 1000,
};
const reserved = { ...parseReserved("cpu=250m,memory=256Mi"), thresholds: parseThresholds(hardDefault) };

async function statusOf(pressures: ReadonlyMap<Pressure, string> = new Map(), notReady?: string) {
  const machine = { ...(await readMachine({ version: "1.2.3", cpus: "2", memory: "2Gi" })), hugePages: [] };
  const input = { name: "n", nodeIp: "10.0.0.1", machine, images: [], volumes: [], notReady, metricsPort: undefined };
  return nodeStatus({ ...input, handlers: builtInHandlers, load, reserved, pressures }, 0);
}

test("readMachine offers what it is told to, and a version that kubectl can read", async () => {
  const { cpuMilli, memoryBytes, info } = await readMachine({ version: "1.2.3", cpus: "1500m", memory: "2Gi" });
  assert.deepEqual(
    [cpuMilli, memoryBytes, info.kubeletVersion, info.containerRuntimeVersion],
    [1500, 2 ** 31, "v1.36.0+naru.1.2.3", "naru://1.2.3"],
  );
});

test("readLoad measures this machine", async () => {
  const load = await readLoad("/");
  assert.deepEqual([load.memoryAvailableBytes > 0, load.diskBytes > 0, load.tasks > 0], [true, true, true]);
});

test("nodeStatus says under which pressure the node is, and by which threshold", async () => {
  const conditionsOf = async (...args: Parameters<typeof statusOf>) =>
    ((await statusOf(...args)).conditions ?? []).map(({ type, status, message }) => [type, status, message]);
  const calm = [
    ["MemoryPressure", "False", "kubelet has sufficient memory available"],
    ["DiskPressure", "False", "kubelet has no disk pressure"],
    ["PIDPressure", "False", "kubelet has sufficient PID available"],
    ["Ready", "True", "kubelet is posting ready status"],
  ];
  assert.deepEqual(
    [
      await conditionsOf(),
      await conditionsOf(new Map([["DiskPressure", "nodefs.available is below 10%"]]), "no network"),
    ],
    [
      calm,
      [
        calm[0],
        ["DiskPressure", "True", "kubelet has disk pressure: nodefs.available is below 10%"],
        calm[2],
        ["Ready", "False", "no network"],
      ],
    ],
  );
});

test("nodeStatus offers what is neither reserved nor has to stay free", async () => {
  const { capacity, allocatable } = await statusOf();
  assert.deepEqual(
    [capacity, allocatable],
    [
      { cpu: "2", memory: "2Gi", "ephemeral-storage": "100Gi", pods: "110" },
      { cpu: "1750m", memory: "1692Mi", "ephemeral-storage": "90Gi", pods: "110" },
    ],
  );
});
