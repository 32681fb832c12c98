// What pods may use of a machine, and what is left of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeLimits, observationsOf, parseReserved } from "./reserve.ts";

const load = {
  ...{ memoryBytes: 1000, memoryAvailableBytes: 600, diskBytes: 100, diskAvailableBytes: 40, inodes: 0, inodesFree: 0 },
  ...{ tasks: 30, tasksMax: 32_768 },
};
const machine = { cpuMilli: 2000, memoryBytes: 2 ** 30, hugePages: [{ resource: "hugepages-2Mi", bytes: 2 ** 21 }] };

test("parseReserved reads what it knows and refuses what it does not", () => {
  assert.deepEqual(parseReserved("cpu=500m,memory=1Gi,ephemeral-storage=2Gi,pid=1k"), {
    ...{ cpuMilli: 500, memoryBytes: 2 ** 30, ephemeralStorageBytes: 2 ** 31, pids: 1000 },
  });
  assert.throws(() => parseReserved("gpu=1"), {
    message: '"gpu=1" must look like cpu=500m, memory=1Gi, ephemeral-storage=5Gi or pid=1000',
  });
});

test("nodeLimits leaves the node's own programs what is theirs", () => {
  const reserved = { ...parseReserved("cpu=1,memory=128Mi,pid=1000"), thresholds: [] };
  assert.deepEqual(nodeLimits(machine, load, reserved), {
    cpuShares: 1024,
    memoryBytesMax: 2 ** 30 - 2 ** 21 - 2 ** 27,
    pidsMax: 31_768,
  });
});

test("observationsOf takes the pods' own limit when that is nearer than the machine's end, and leaves out what nobody counts", () => {
  const ofPods = observationsOf(load, { workingSetBytes: 90, bytesMax: 100 }, undefined);
  const images = { diskBytes: 10, diskAvailableBytes: 5, inodes: 8, inodesFree: 4 };
  const ofMachine = observationsOf(
    { ...load, tasksMax: Number.POSITIVE_INFINITY },
    { workingSetBytes: 100, bytesMax: 900 },
    images,
  );
  assert.deepEqual(
    [ofPods, ofMachine],
    [
      {
        "memory.available": { available: 10, capacity: 100 },
        "nodefs.available": { available: 40, capacity: 100 },
        "pid.available": { available: 32_738, capacity: 32_768 },
      },
      {
        "memory.available": { available: 600, capacity: 1000 },
        "nodefs.available": { available: 40, capacity: 100 },
        "imagefs.available": { available: 5, capacity: 10 },
        "imagefs.inodesFree": { available: 4, capacity: 8 },
      },
    ],
  );
});
