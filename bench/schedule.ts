// How fast pods are bound: a scheduler of 5,000 nodes, and every bind synced to disk before it counts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentUser } from "../api/authentication/user.ts";
import { nodes, pods } from "../api/kinds/generated/resources.ts";
import type { Node, Pod } from "../api/kinds/generated/types.ts";
import { openApi } from "../api/server.ts";
import { openSqliteStore } from "../api/store/sqlite.ts";
import type { Client } from "../client/client.ts";
import { inProcessClient } from "../client/in-process.ts";
import { createRecorder } from "../client/recorder.ts";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { defaultProfile } from "../scheduler/profile.ts";
import { startScheduler } from "../scheduler/scheduler.ts";
import { type Result, summarizeRates } from "./result.ts";

const nodeCount = 5000;
const podsPerRound = 5000;
const rounds = 6;

/** schedule-5000: plain pods bound durably per second, while 5,000 nodes fill up. p99 is the rate that 99 of 100 rounds reach. */
export async function benchSchedule(): Promise<readonly Result[]> {
  const directory = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  const own = { clock: realClock, random: realRandom(), log: silentLogger };
  const store = await openSqliteStore({ path: join(directory, "store.db"), ...own });
  try {
    const api = await openApi({ store, ...own });
    const client = inProcessClient({ verbs: api.verbs, user: componentUser("bench") });
    await inGroups(nodeCount, (i) => client.create(nodes, nodeOf(i)));
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      await inGroups(podsPerRound, (i) => client.create(pods, podOf(round, i)));
      const rate = await measureRound(client, own);
      // The first warms everything up.
      if (round > 0) rates.push(rate);
    }
    await api[Symbol.asyncDispose]();
    return [summarizeRates("schedule-5000", rates)];
  } finally {
    await store[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  }
}

// All pods wait already: from the moment in which the scheduler knows the cluster to the moment in which the last bind is durable.
async function measureRound(
  client: Client,
  own: { clock: typeof realClock; random: ReturnType<typeof realRandom>; log: typeof silentLogger },
): Promise<number> {
  const recorder = createRecorder({ ...own, client, component: "bench" });
  const all = Promise.withResolvers<number>();
  let bound = 0;
  const counting: Client = {
    ...client,
    bind: async (binds, signal) => {
      const outcomes = await client.bind(binds, signal);
      bound += outcomes.filter((outcome) => outcome === undefined).length;
      if (bound === podsPerRound) all.resolve(performance.now());
      return outcomes;
    },
  };
  const scheduler = startScheduler({
    ...own,
    client: counting,
    recorder,
    profile: defaultProfile,
    schedulerName: "default-scheduler",
  });
  await scheduler.whenSynced;
  const startMs = performance.now();
  const endMs = await all.promise;
  await scheduler[Symbol.asyncDispose]();
  await recorder[Symbol.asyncDispose]();
  return podsPerRound / ((endMs - startMs) / 1000);
}

async function inGroups(count: number, run: (i: number) => Promise<unknown>): Promise<void> {
  const groupSize = 500;
  for (let start = 0; start < count; start += groupSize) {
    await Promise.all(Array.from({ length: Math.min(groupSize, count - start) }, (_, i) => run(start + i)));
  }
}

function nodeOf(i: number): Node {
  const size = { cpu: "16", memory: "32Gi", pods: "110" };
  const name = `node-${i}`;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": `zone-${i % 3}` },
    },
    status: { capacity: size, allocatable: size, conditions: [{ type: "Ready", status: "True" }] },
  };
}

function podOf(round: number, i: number): Pod {
  const resources = { requests: { cpu: "100m", memory: "128Mi" } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "default", name: `pod-${round}-${i}`, labels: { app: "bench" } },
    spec: { containers: [{ name: "app", image: "registry.example/app:1", resources }] },
  };
}

if (import.meta.main) console.log(await benchSchedule());
