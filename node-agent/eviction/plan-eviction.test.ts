// Which thresholds count, what the node says, who goes first and what is said about it.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  admissionRefusal,
  type Candidate,
  evictionGraceMs,
  evictionMessage,
  lookAtPressure,
  noPressure,
  type PressureMemory,
  rankForEviction,
} from "./plan-eviction.ts";
import { planImageCollection } from "./plan-image-collection.ts";
import { type Observations, parseThresholds, withMinimumReclaim } from "./thresholds.ts";

const mib = 2 ** 20;
const thresholds = [
  ...parseThresholds("nodefs.available<10%,memory.available<100Mi"),
  ...parseThresholds("memory.available<200Mi", "memory.available=60s"),
];

function look(before: PressureMemory, memoryMib: number, nowMs: number, more: Observations = {}) {
  const observations = { "memory.available": { available: memoryMib * mib, capacity: 1000 * mib }, ...more };
  const { passed, memory } = lookAtPressure(before, observations, { thresholds, transitionMs: 300_000, nowMs });
  const names = passed.map(({ threshold }) => `${threshold.signal}<${threshold.text}`);
  return { memory, seen: [names, [...memory.lastSeen.keys()]] };
}

test("lookAtPressure passes hard thresholds at once, soft ones after their grace period", () => {
  const first = look(noPressure, 150, 0);
  const second = look(first.memory, 150, 60_000);
  const relieved = look(first.memory, 300, 30_000);
  const again = look(relieved.memory, 150, 60_000);
  assert.deepEqual(
    [first.seen, second.seen, again.seen, look(noPressure, 50, 0).seen],
    [
      [[], []],
      [["memory.available<200Mi"], ["MemoryPressure"]],
      [[], []],
      [["memory.available<100Mi"], ["MemoryPressure"]],
    ],
  );
});

test("lookAtPressure keeps a condition for the transition period, and looks at memory first", () => {
  const disk = { "nodefs.available": { available: 9, capacity: 100 } };
  const both = look(noPressure, 50, 0, disk);
  const soon = look(both.memory, 300, 299_999);
  assert.deepEqual(
    [both.seen[0], soon.seen, look(soon.memory, 300, 300_000).seen],
    [
      ["memory.available<100Mi", "nodefs.available<10%"],
      [[], ["MemoryPressure", "DiskPressure"]],
      [[], []],
    ],
  );
});

test("lookAtPressure goes on until the minimum reclaim is free as well, once something was done", () => {
  const thresholds = withMinimumReclaim(parseThresholds("nodefs.available<10%"), "nodefs.available=5%");
  const seen: boolean[] = [];
  let memory = noPressure;
  for (const available of [12, 9, 12, 14, 15, 12]) {
    const observations = { "nodefs.available": { available, capacity: 100 } };
    const found = lookAtPressure(memory, observations, { thresholds, transitionMs: 0, nowMs: 0 });
    memory = found.memory;
    seen.push(found.passed.length > 0);
  }
  assert.deepEqual(seen, [false, true, true, true, false, false]);
});

test("evictionGraceMs leaves a pod time for soft thresholds alone, and no more than the node allows", () => {
  const observation = { available: 0, capacity: 1 };
  const [hard] = parseThresholds("memory.available<1Gi");
  const [soft] = parseThresholds("memory.available<1Gi", "memory.available=1s");
  assert.ok(hard !== undefined && soft !== undefined);
  assert.deepEqual(
    [
      evictionGraceMs({ threshold: hard, observation }, 30_000, 60_000),
      evictionGraceMs({ threshold: soft, observation }, 30_000, 0),
      evictionGraceMs({ threshold: soft, observation }, 30_000, 10_000),
      evictionGraceMs({ threshold: soft, observation }, 5000, 10_000),
    ],
    [undefined, undefined, 10_000, 5000],
  );
});

const pod = (uid: string, used: number, requested: number, more: Partial<Candidate> = {}): Candidate => ({
  ...{ uid, used, requested, priority: 0, isCritical: false, containers: [{ name: "main", used, requested }] },
  ...more,
});

test("rankForEviction takes who is over its request, then by priority, then who is furthest over", () => {
  const pods = [
    pod("within", 900, 1000),
    pod("little", 110, 100),
    pod("much", 500, 100),
    pod("important", 900, 100, { priority: 1000 }),
    pod("static", 9000, 0, { isCritical: true }),
    pod("within-unimportant", 5, 10, { priority: -1 }),
  ];
  assert.deepEqual(
    rankForEviction("memory", pods).map(({ uid }) => uid),
    ["much", "little", "important", "within-unimportant", "within"],
  );
});

test("rankForEviction looks at processes by priority and number alone", () => {
  const pods = [pod("few", 3, 0), pod("bomb", 4000, 0), pod("cheap", 1, 0, { priority: -5 })];
  assert.deepEqual(
    rankForEviction("pids", pods).map(({ uid }) => uid),
    ["cheap", "bomb", "few"],
  );
});

test("evictionMessage names the resource, the threshold and who used more than its request", () => {
  const [, memory] = thresholds;
  const [inodes] = parseThresholds("nodefs.inodesFree<5%");
  assert.ok(memory !== undefined && inodes !== undefined);
  const greedy = pod("greedy", 300 * mib, 64 * mib);
  const quiet = { name: "quiet", used: 1, requested: 2 };
  assert.deepEqual(
    [
      evictionMessage(
        { threshold: memory, observation: { available: 80 * mib + 4096, capacity: 1000 * mib } },
        { ...greedy, containers: [...greedy.containers, quiet] },
      ),
      evictionMessage({ threshold: inodes, observation: { available: 12, capacity: 1000 } }, pod("flood", 700, 0)),
    ],
    [
      "The node was low on resource: memory. Threshold quantity: 100Mi, available: 81924Ki. " +
        "Container main was using 300Mi, request is 64Mi, has larger consumption of memory. ",
      "The node was low on resource: inodes. Threshold quantity: 50, available: 12. " +
        "Container main was using 700, request is 0, has larger consumption of inodes. ",
    ],
  );
});

test("admissionRefusal keeps off what would make it worse", () => {
  const usual = { isCritical: false, isBestEffort: false, toleratesMemoryPressure: false };
  const bestEffort = { ...usual, isBestEffort: true };
  assert.deepEqual(
    [
      admissionRefusal([], bestEffort),
      admissionRefusal(["MemoryPressure"], usual),
      admissionRefusal(["MemoryPressure"], bestEffort),
      admissionRefusal(["MemoryPressure"], { ...bestEffort, toleratesMemoryPressure: true }),
      admissionRefusal(["MemoryPressure", "DiskPressure"], usual),
      admissionRefusal(["DiskPressure"], { ...usual, isCritical: true }),
    ],
    [
      undefined,
      undefined,
      "The node had condition: [MemoryPressure]. ",
      undefined,
      "The node had condition: [MemoryPressure DiskPressure]. ",
      undefined,
    ],
  );
});

test("planImageCollection frees down to the low mark once the high one is reached", () => {
  const limits = { highPercent: 85, lowPercent: 80, minAgeMs: 0, ownMinAgeMs: 0, maxAgeMs: 0 };
  const bytesAt = (available: number) => planImageCollection({ available, capacity: 1000 }, limits);
  assert.deepEqual([bytesAt(160), bytesAt(159), bytesAt(150), bytesAt(0)], [undefined, 41, 50, 200]);
});
