// What a node reports of itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeLoad, nodeStatus, readLoad, readMachine } from "./node-status.ts";

const calm: NodeLoad = {
  memoryAvailableBytes: 2 ** 30,
  diskBytes: 100 * 2 ** 30,
  diskAvailableBytes: 50 * 2 ** 30,
  tasks: 100,
  tasksMax: 1000,
};

async function conditionsOf(load: Partial<NodeLoad>, notReady?: string): Promise<Record<string, string>> {
  const machine = await readMachine({ version: "1.2.3" });
  const input = { name: "n", nodeIp: "10.0.0.1", machine, images: [], volumes: [], notReady, metricsPort: undefined };
  const { conditions = [] } = nodeStatus({ ...input, load: { ...calm, ...load } }, 0);
  return Object.fromEntries(conditions.map(({ type, status }) => [type, status]));
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

test("nodeStatus says under which pressure the node is", async () => {
  assert.deepEqual(
    [
      await conditionsOf({}),
      await conditionsOf({ memoryAvailableBytes: 2 ** 20 }),
      await conditionsOf({ diskAvailableBytes: 2 ** 30 }),
      await conditionsOf({ tasks: 950 }, "no network"),
    ],
    [
      { MemoryPressure: "False", DiskPressure: "False", PIDPressure: "False", Ready: "True" },
      { MemoryPressure: "True", DiskPressure: "False", PIDPressure: "False", Ready: "True" },
      { MemoryPressure: "False", DiskPressure: "True", PIDPressure: "False", Ready: "True" },
      { MemoryPressure: "False", DiskPressure: "False", PIDPressure: "True", Ready: "False" },
    ],
  );
});
