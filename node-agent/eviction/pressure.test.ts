// A node that runs short: images and what is dead first, then one pod at a time. The agent and its pods are simulated.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { silentLogger } from "../../lib/log.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import type { Agent } from "../agent.ts";
import type { CollectOptions } from "../images/images.ts";
import { SimulatedNode } from "../simulated-node.ts";
import { TestSession } from "../test-session.ts";
import { type NodePressure, openPressure } from "./pressure.ts";
import { parseThresholds, type Threshold, withMinimumReclaim } from "./thresholds.ts";

const gib = 2 ** 30;

interface Rig {
  readonly session: TestSession;
  readonly agent: Agent;
  readonly pressure: NodePressure;
  readonly collected: CollectOptions[];
  /** What is free now, and what an image or a pod would give back. */
  readonly disk: { availableGib: number; imagesGib: number; perPodGib: number };
  /** GiB that each pod has on the disk. */
  readonly uses: Readonly<Record<string, number>>;
  pass(ms: number): Promise<void>;
}

interface RigOptions {
  readonly memoryAvailable?: () => number;
  readonly thresholds?: readonly Threshold[];
  readonly podGraceMsMax?: number;
  readonly maxAgeMs?: number;
}

async function openTestRig(uses: Readonly<Record<string, number>>, options: RigOptions = {}): Promise<Rig> {
  const { memoryAvailable = () => 8 * gib, podGraceMsMax = 0, maxAgeMs = 0 } = options;
  const clock = virtualClock();
  const node = new SimulatedNode({ clock, name: "n1", nodeIp: "10.0.0.1", registry: () => ({}) });
  const session = new TestSession();
  session.put("nodes", { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.1.0/24"] } });
  const disk = { availableGib: 50, imagesGib: 0, perPodGib: 0 };
  const collected: CollectOptions[] = [];
  const over = () => agent.workers.filter(({ isOver }) => isOver).length;
  const useOf = (pod: Pod) => (uses[pod.metadata?.name ?? ""] ?? 0) * gib;
  let pressure: NodePressure | undefined;
  const agent = await node.startAgent(session, { refusal: (pod) => pressure?.refusal(pod) });
  pressure = await openPressure({
    clock,
    log: silentLogger,
    thresholds: options.thresholds ?? parseThresholds("memory.available<1Gi,nodefs.available<10%"),
    transitionMs: 60_000,
    podGraceMsMax,
    imageCollection: { highPercent: 85, lowPercent: 80, minAgeMs: 1000, ownMinAgeMs: 1000, maxAgeMs },
    observe: async () => ({
      "nodefs.available": { available: (disk.availableGib + over() * disk.perPodGib) * gib, capacity: 100 * gib },
      "memory.available": { available: memoryAvailable(), capacity: 16 * gib },
    }),
    workers: () => agent.workers,
    events: () => agent.events,
    runtime: {
      stats: async (id) => ({
        ...{ cpuUsageNs: 0, memoryUsageBytes: 0, pids: 1, oomKills: 0 },
        memoryWorkingSetBytes: useOf(agent.workers.find(({ uid }) => id.startsWith(uid))?.pod ?? {}),
      }),
    },
    storage: {
      diskUse: async (pod) => ({
        containers: [{ bytes: useOf(pod), inodes: 1 }],
        volumes: { bytes: 0, inodes: 0 },
      }),
      removeRunsBefore: async () => {},
    },
    images: {
      collect: async (options) => {
        collected.push(options);
        const freed = Math.min(disk.imagesGib, options.bytes / gib);
        disk.imagesGib -= freed;
        disk.availableGib += freed;
        return { freedBytes: freed * gib, images: [] };
      },
    },
    onChange: () => {},
  });
  for (const name of Object.keys(uses)) session.put("pods", podOf(name));
  await clock.advance(1000);
  return { session, agent, pressure, collected, disk, uses, pass: (ms) => clock.advance(ms) };
}

const podOf = (name: string): Pod => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers: [{ name: "main", image: "app" }], terminationGracePeriodSeconds: 1 },
});

const failed = ({ session }: Rig) =>
  [...session.statuses].filter(([, { phase }]) => phase === "Failed").map(([name]) => name);

test("NodePressure leaves pods alone when unused images make room", async () => {
  const rig = await openTestRig({ big: 20, small: 1 });
  rig.disk.availableGib = 5;
  rig.disk.imagesGib = 30;
  await rig.pass(10_000);
  assert.deepEqual(
    [failed(rig), rig.disk.availableGib, [...rig.pressure.conditions]],
    [
      [],
      // The threshold, and what is to spare; then down to the low mark.
      20,
      [["DiskPressure", "nodefs.available is below 10%"]],
    ],
  );
});

test("NodePressure evicts one pod at a time until there is room, and says why", async () => {
  const rig = await openTestRig({ big: 20, bigger: 30, small: 1 });
  rig.disk.availableGib = 5;
  rig.disk.perPodGib = 3;
  await rig.pass(30_000);
  const { reason, message, conditions = [] } = rig.session.statuses.get("bigger") ?? {};
  assert.deepEqual(
    [
      failed(rig).sort(),
      reason,
      message,
      conditions.find(({ type }) => type === "DisruptionTarget")?.reason,
      rig.session.eventLines().filter((line) => /Evict|NodeHas/.test(line)),
      rig.pressure.counts.evictions.get("nodefs.available"),
    ],
    [
      ["big", "bigger"],
      "Evicted",
      "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 5Gi. " +
        "Container main was using 30Gi, request is 0, has larger consumption of ephemeral-storage. ",
      "TerminationByKubelet",
      [
        "NodeHasDiskPressure: Node status is now: NodeHasDiskPressure",
        "EvictionThresholdMet: Attempting to reclaim ephemeral-storage",
        `Evicted: ${message}`,
        "Evicted: The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 8Gi. " +
          "Container main was using 20Gi, request is 0, has larger consumption of ephemeral-storage. ",
      ],
      2,
    ],
  );
});

test("NodePressure asks for no images when memory is short, and refuses pods that would make it worse", async () => {
  let available = 8 * gib;
  const rig = await openTestRig({ greedy: 4, modest: 1 }, { memoryAvailable: () => available });
  available = gib / 2;
  await rig.pass(2500);
  available = 4 * gib;
  rig.session.put("pods", podOf("late"));
  await rig.pass(5000);
  const late = rig.session.statuses.get("late");
  assert.deepEqual(
    [rig.collected, failed(rig), late?.message, late?.containerStatuses],
    [[], ["greedy", "late"], "The node had condition: [MemoryPressure]. ", undefined],
  );
});

test("NodePressure removes images on a full disk before it is short, and says when there are not enough", async () => {
  const rig = await openTestRig({ one: 1 });
  rig.disk.availableGib = 14;
  rig.disk.imagesGib = 2;
  await rig.pass(10_000);
  assert.deepEqual(
    [
      rig.collected.map(({ bytes }) => bytes / gib),
      rig.session.eventLines().filter((line) => line.startsWith("FreeDisk")),
      failed(rig),
    ],
    [
      [6],
      [
        "FreeDiskSpaceFailed: Failed to garbage collect required amount of images. " +
          `Attempted to free ${6 * gib} bytes, but only found ${2 * gib} bytes eligible to free.`,
      ],
      [],
    ],
  );
});

test("NodePressure lets a pod end by itself when a soft threshold is passed for long enough", async () => {
  const rig = await openTestRig(
    { quick: 4 },
    { thresholds: parseThresholds("nodefs.available<10%", "nodefs.available=20s"), podGraceMsMax: 10_000 },
  );
  rig.session.put("pods", {
    ...podOf("slow"),
    spec: { containers: [{ name: "main", image: "app", lifecycle: { preStop: { sleep: { seconds: 60 } } } }] },
  });
  await rig.pass(1000);
  rig.disk.availableGib = 5;
  await rig.pass(18_000);
  const before = failed(rig);
  // The one that uses more goes first; the next one gets all that it may, and not what it asked for.
  await rig.pass(6000);
  const first = failed(rig);
  await rig.pass(7000);
  const during = failed(rig);
  await rig.pass(10_000);
  assert.deepEqual([before, first, during, failed(rig).sort()], [[], ["quick"], ["quick"], ["quick", "slow"]]);
});

test("NodePressure goes on beyond the threshold until the minimum reclaim is free", async () => {
  const rig = await openTestRig(
    { a: 1, b: 2, c: 3 },
    { thresholds: withMinimumReclaim(parseThresholds("nodefs.available<10%"), "nodefs.available=4Gi") },
  );
  rig.disk.availableGib = 8;
  rig.disk.perPodGib = 3;
  await rig.pass(60_000);
  assert.deepEqual(failed(rig).sort(), ["b", "c"]);
});

test("NodePressure removes images that nothing has used for the maximum age, though there is room", async () => {
  const rig = await openTestRig({}, { maxAgeMs: 3_600_000 });
  await rig.pass(10_000);
  assert.deepEqual(
    rig.collected.map(({ bytes, minAgeMs }) => [bytes, minAgeMs]),
    [[Number.POSITIVE_INFINITY, 3_600_000]],
  );
});
