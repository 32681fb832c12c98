// Bindings that are refused are not asked for in a hot loop: real API and scheduler, virtual time.
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { nodes, pods } from "../api/kinds/generated/resources.ts";
import type { Pod } from "../api/kinds/generated/types.ts";
import { openApi } from "../api/server.ts";
import { MemoryStore } from "../api/store/memory.ts";
import { conflict } from "../api/verbs/refusals.ts";
import type { Client } from "../client/client.ts";
import { inProcessClient } from "../client/in-process.ts";
import { createRecorder } from "../client/recorder.ts";
import { silentLogger } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { type VirtualClock, virtualClock } from "../lib/virtual-clock.ts";
import { defaultProfile } from "./profile.ts";
import { startScheduler } from "./scheduler.ts";

test("a pod that is being deleted while it waits is given no node startScheduler", async () => {
  await using cluster = await openCluster();
  const { client, clock } = cluster;
  await client.create(pods, podOf("held", ["example.com/held"]));
  await clock.advance(1000);
  await client.delete(pods, { namespace: "default", name: "held" });
  await addNode(client);
  await client.create(pods, podOf("next", []));
  await clock.advance(120_000);
  const placed = (await client.list(pods, { namespace: "default" })).items.map(({ metadata, spec }) => [
    metadata?.name,
    spec?.nodeName,
  ]);
  deepEqual(
    [placed, cluster.asked()],
    [
      [
        ["held", undefined],
        ["next", "a"],
      ],
      ["next"],
    ],
  );
});

test("a pod whose binding is refused is tried again, later and later startScheduler", async () => {
  await using cluster = await openCluster({ refused: "unlucky" });
  const { client, clock } = cluster;
  await addNode(client);
  await client.create(pods, podOf("unlucky", []));
  await clock.advance(60_000);
  const tries = cluster.asked().length;
  ok(tries >= 5 && tries <= 20, `${tries} tries in a minute`);
});

function podOf(name: string, finalizers: readonly string[]): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "default", name, finalizers },
    spec: { containers: [{ name: "main", image: "hello" }] },
  };
}

async function addNode(client: Client): Promise<void> {
  await client.create(nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "a" } });
  const node = await client.get(nodes, { name: "a" });
  await client.updateStatus(nodes, {
    ...node,
    status: { allocatable: { cpu: "2", memory: "4Gi", pods: "110" }, conditions: [{ type: "Ready", status: "True" }] },
  });
}

interface TestCluster extends AsyncDisposable {
  readonly client: Client;
  readonly clock: VirtualClock;
  /** Names of pods that a binding was asked for, in order. */
  readonly asked: () => readonly string[];
}

async function openCluster({ refused }: { readonly refused?: string } = {}): Promise<TestCluster> {
  const clock = virtualClock();
  const random = seededRandom(1);
  const store = new MemoryStore({ clock });
  const api = await openApi({ store, clock, random, log: silentLogger });
  const real = inProcessClient({ verbs: api.verbs, user: componentUser("kube-scheduler") });
  const asked: string[] = [];
  const client: Client = {
    ...real,
    bind: async (binds) => {
      asked.push(...binds.map(({ name }) => name));
      return binds.some(({ name }) => name === refused)
        ? binds.map(({ name }) => conflict(pods, name, "refused"))
        : await real.bind(binds);
    },
  };
  const recorder = createRecorder({ client, clock, random, log: silentLogger, component: "test" });
  const parts = { client, clock, random, log: silentLogger, recorder };
  const scheduler = startScheduler({ ...parts, profile: defaultProfile, schedulerName: "default-scheduler" });
  await clock.advance(1000);
  return {
    client: inProcessClient({ verbs: api.verbs, user: { name: "admin", groups: ["system:masters"] } }),
    clock,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      await scheduler[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
