// Pods that are refused, by admission or by their nodes, are not made in a hot loop: real API and controllers, virtual time.
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { pods, replicasets } from "../api/kinds/generated/resources.ts";
import type { Pod } from "../api/kinds/generated/types.ts";
import { openApi } from "../api/server.ts";
import { MemoryStore } from "../api/store/memory.ts";
import type { Client } from "../client/client.ts";
import { inProcessClient } from "../client/in-process.ts";
import { createRecorder } from "../client/recorder.ts";
import { silentLogger } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { type VirtualClock, virtualClock } from "../lib/virtual-clock.ts";
import { isRefused, lookAtRefusals } from "./refused-pods.ts";
import { startControllers } from "./start.ts";

const nowMs = Date.UTC(2026, 0, 1, 1);

function pod(ageSeconds: number, status: Pod["status"]): Pod {
  const creationTimestamp = new Date(nowMs - ageSeconds * 1000).toISOString();
  return { metadata: { name: `pod-${ageSeconds}`, creationTimestamp }, ...(status === undefined ? {} : { status }) };
}
const refused = (ageSeconds: number) => pod(ageSeconds, { phase: "Failed", reason: "OutOfcpu" });
const runs = (ageSeconds: number) => pod(ageSeconds, { phase: "Running" });

test("isRefused tells pods that never began from pods that failed", () => {
  const ran = { startedAt: "2026-01-01T00:00:00Z", exitCode: 1 };
  const container = { name: "web", image: "", imageID: "", ready: false, restartCount: 0 };
  deepEqual(
    [
      refused(1),
      pod(1, { phase: "Failed", containerStatuses: [{ ...container, state: { waiting: {} } }] }),
      pod(1, { phase: "Failed", containerStatuses: [{ ...container, state: { terminated: ran } }] }),
      pod(1, { phase: "Pending" }),
    ].map(isRefused),
    [true, true, false, false],
  );
});

test("lookAtRefusals waits longer after each try, and no longer at all once a younger pod runs", () => {
  const look = (...owned: readonly Pod[]) => {
    const { allowed, afterMs } = lookAtRefusals(owned, nowMs);
    return [allowed, afterMs];
  };
  deepEqual(
    [
      look(runs(3)),
      look(refused(0)),
      look(refused(1)),
      look(refused(1), refused(1), refused(3), refused(9)),
      look(refused(4), refused(5), refused(9)),
      look(refused(1), refused(3), runs(1)),
      look(refused(1), refused(3), runs(2)),
      look(...Array.from({ length: 40 }, (_, i) => refused(i + 1))),
    ],
    [
      [Number.POSITIVE_INFINITY, undefined],
      [0, 1000],
      [1, 1000],
      [0, 3000],
      [1, 4000],
      [Number.POSITIVE_INFINITY, undefined],
      [1, 1000],
      [0, 299_000],
    ],
  );
});

test("a ReplicaSet whose pods are refused makes few, says why, and goes on when they are accepted", async () => {
  await using cluster = await openCluster();
  const { client, clock } = cluster;
  await makeReplicaSet(client, "web", "default");
  const made = async () => (await client.list(pods, { namespace: "default" })).items;
  const answerAll = async (status: NonNullable<Pod["status"]>) => {
    for (const one of await made()) {
      if (one.status?.phase === "Pending") await client.updateStatus(pods, { ...one, status });
    }
  };
  for (let second = 0; second < 600; second++) {
    await clock.advance(1000);
    await answerAll({ phase: "Failed", reason: "OutOfcpu", message: "Node didn't have enough resource: cpu" });
  }
  const count = (await made()).length;
  // The first three at once, then 1, 2, 4 … s apart.
  ok(count >= 8 && count <= 14, `${count} pods were made in ten minutes`);
  const set = await client.get(replicasets, { namespace: "default", name: "web" });
  deepEqual(
    set.status?.conditions?.map(({ type, status, reason }) => ({ type, status, reason })),
    [{ type: "ReplicaFailure", status: "True", reason: "PodsRefused" }],
  );
  for (let second = 0; second < 600; second++) {
    await clock.advance(1000);
    await answerAll({ phase: "Running" });
  }
  const after = await client.get(replicasets, { namespace: "default", name: "web" });
  deepEqual([after.status?.replicas, after.status?.conditions ?? []], [3, []]);
});

test("a ReplicaSet whose pods admission forbids asks for one at a time, waits longer each time, and says why", async () => {
  await using cluster = await openCluster();
  const { client, clock } = cluster;
  await makeReplicaSet(client, "web", "absent");
  await clock.advance(600_000);
  const set = await client.get(replicasets, { namespace: "default", name: "web" });
  const asked = cluster.createdPods();
  ok(asked >= 10 && asked <= 40, `${asked} pods were asked for in ten minutes`);
  deepEqual(
    set.status?.conditions?.map(({ type, status, reason }) => ({ type, status, reason })),
    [{ type: "ReplicaFailure", status: "True", reason: "FailedCreate" }],
  );
});

async function makeReplicaSet(client: Client, name: string, serviceAccountName: string): Promise<void> {
  await client.create(replicasets, {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { namespace: "default", name },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { serviceAccountName, containers: [{ name: "web", image: "hello" }] },
      },
    },
  });
}

interface TestCluster extends AsyncDisposable {
  readonly client: Client;
  readonly clock: VirtualClock;
  readonly createdPods: () => number;
}

async function openCluster(): Promise<TestCluster> {
  const clock = virtualClock();
  const random = seededRandom(1);
  const store = new MemoryStore({ clock });
  const api = await openApi({ store, clock, random, log: silentLogger });
  const real = inProcessClient({ verbs: api.verbs, user: componentUser("kube-controller-manager") });
  let createdPods = 0;
  const client: Client = {
    ...real,
    create: (resource, object, options) => {
      if (resource.resource === "pods") createdPods++;
      return real.create(resource, object, options);
    },
  };
  const recorder = createRecorder({ client, clock, random, log: silentLogger, component: "test" });
  const controllers = await startControllers({
    ...{ client, clock, random, log: silentLogger, recorder, clusterCidr: "10.244.0.0/16", authorityPem: "" },
    ...{ evictAfterMs: 3000, startGraceMs: 0 },
  });
  await clock.advance(1000);
  return {
    client: inProcessClient({ verbs: api.verbs, user: { name: "admin", groups: ["system:masters"] } }),
    clock,
    createdPods: () => createdPods,
    [Symbol.asyncDispose]: async () => {
      await controllers[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
