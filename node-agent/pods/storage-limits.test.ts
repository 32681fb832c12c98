import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { silentLogger } from "../../lib/log.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { isDue, lookAtLimits, watchStorageLimits } from "./storage-limits.ts";

const pod: Pod = {
  metadata: { uid: "u" },
  spec: {
    volumes: [
      { name: "small", emptyDir: { sizeLimit: "1Ki" } },
      { name: "free", emptyDir: {} },
      { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1" } },
    ],
    containers: [
      { name: "a", resources: { limits: { "ephemeral-storage": "2Ki" } } },
      { name: "b", resources: { limits: { "ephemeral-storage": "4Ki" } } },
      { name: "c" },
    ],
  },
};

test("lookAtLimits names the first limit that is passed: a volume's, the pod's, a container's", async () => {
  const passed = async (bytes: Readonly<Record<string, number>>) => {
    const attempts = new Map([
      ["a", 0],
      ["b", 2],
      ["c", 0],
    ]);
    const { passed: limit, leftBytes } = await lookAtLimits(pod, attempts, {
      volumeBytes: async (_, name) => bytes[name] ?? 0,
      containerBytes: async (_, { id }) => bytes[id] ?? 0,
    });
    return limit?.message ?? leftBytes;
  };
  assert.deepEqual(
    [
      await passed({ small: 1024, free: 9, memory: 9999 }),
      await passed({ small: 1025 }),
      await passed({ "u.a.0": 2049 }),
      await passed({ free: 3000, "u.a.0": 2000, "u.c.0": 1500 }),
    ],
    [
      // The volume that is full, and may stay so.
      0,
      'Usage of EmptyDir volume "small" exceeds the limit "1Ki". ',
      'Container a exceeded its local ephemeral storage limit "2Ki". ',
      "Pod ephemeral local storage usage exceeds the total limit of containers 6Ki. ",
    ],
  );
});

test("isDue measures again when the disk lost what somebody may still write, or after a while, and not all the time", () => {
  const last = { atMs: 1000, durationMs: 100, freeBytes: 5000, leftBytes: 300 };
  const due = (nowMs: number, freeBytes: number) => isDue(last, { nowMs, freeBytes });
  assert.deepEqual(
    [due(1500, 5000), due(1500, 4701), due(1500, 4700), due(1300, 0), due(10_999, 5000), due(11_000, 5000)],
    [false, false, true, false, false, true],
  );
});

test("watchStorageLimits measures seldom while the disk is quiet, and evicts who floods within two glances", async () => {
  const clock = virtualClock();
  const mib = 2 ** 20;
  const evictions: (readonly [atMs: number, message: string])[] = [];
  let written = 0;
  let measured = 0;
  const volumes = [{ name: "data", emptyDir: { sizeLimit: "100Mi" } }];
  const worker = {
    uid: "u",
    pod: { metadata: { uid: "u" }, spec: { volumes, containers: [] } },
    state: { phase: "Up" } as const,
    containers: [],
    evict: (message: string) => void evictions.push([clock.monotonicMs(), message]),
  };
  using _watch = watchStorageLimits({
    workers: () => (evictions.length === 0 ? [worker] : []),
    storage: {
      freeBytes: async () => 10_000 * mib - written,
      volumeBytes: async () => {
        measured++;
        return written;
      },
      containerBytes: async () => 0,
    },
    clock,
    log: silentLogger,
  });
  // Well below its limit.
  for (let i = 0; i < 40; i++) {
    written += mib;
    await clock.advance(1000);
  }
  const seldom = measured;
  written += 200 * mib;
  await clock.advance(500);
  assert.ok(seldom <= 6, `measured ${seldom} times in 40 s`);
  assert.deepEqual(
    evictions.map(([atMs, message]) => [atMs <= 40_500, message]),
    [[true, 'Usage of EmptyDir volume "data" exceeds the limit "100Mi". ']],
  );
});
