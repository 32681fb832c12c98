// What of the verbs a client alone cannot show: time limits, leases, many binds at once, a store that fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcessClient } from "../../client/in-process.ts";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { openTestApi } from "../../test/api.ts";
import { componentUser } from "../authentication/user.ts";
import { configmaps, events, namespaces, pods, priorityclasses } from "../kinds/generated/resources.ts";
import type { Namespace } from "../kinds/generated/types.ts";
import { findKind } from "../kinds/list.ts";
import { openApi } from "../server.ts";
import { MemoryStore } from "../store/memory.ts";
import { type Operation, StoreUnavailableError, type Transaction } from "../store/store.ts";

const user = componentUser("test");

test("create hangs events on leases, and update keeps them there", async () => {
  const operations: Operation[] = [];
  class Recording extends MemoryStore {
    override commit(transaction: Transaction) {
      operations.push(...transaction.operations);
      return super.commit(transaction);
    }
  }
  await using store = new Recording({ clock: realClock });
  await using api = await openApi({ store, clock: realClock, random: seededRandom(1), log: silentLogger });
  const client = inProcessClient({ verbs: api.verbs, user });
  const event = { metadata: { name: "e", namespace: "default" }, involvedObject: { namespace: "default" } };
  const made = await client.create(events, event);
  await client.update(events, { ...made, count: 2 });
  const leases = operations
    .filter(({ key }) => key.includes("/events/"))
    .map((o) => o.type === "put" && o.lease !== undefined);
  assert.deepEqual(leases, [true, true]);
});

test("bindPods binds many pods in few commits, none larger than a store takes", async () => {
  const commits: number[] = [];
  class Recording extends MemoryStore {
    override commit(transaction: Transaction) {
      const bytes = transaction.operations.map((o) => (o.type === "put" ? o.value.byteLength : 0));
      commits.push(bytes.reduce((total, n) => total + n, 0));
      return super.commit(transaction);
    }
  }
  await using store = new Recording({ clock: realClock });
  await using api = await openApi({ store, clock: realClock, random: seededRandom(1), log: silentLogger });
  const client = inProcessClient({ verbs: api.verbs, user });
  const names = Array.from({ length: 250 }, (_, i) => `p${i}`);
  const made = await Promise.all(
    names.map((name) =>
      client.create(pods, {
        metadata: { name, namespace: "default", annotations: { big: "x".repeat(40_000) } },
        spec: { containers: [{ name: "c", image: "i" }] },
      }),
    ),
  );
  const binds = made.map((pod, i) => ({
    namespace: "default",
    name: `p${i}`,
    uid: pod.metadata?.uid ?? "",
    node: `n${i % 3}`,
  }));
  commits.length = 0;
  assert.deepEqual([...new Set(await client.bind(binds))], [undefined]);
  assert.deepEqual([commits.length <= 32, commits.every((bytes) => bytes < 1_400_000)], [true, true]);
  const bound = await client.list(pods, { fieldSelector: "spec.nodeName=n0" });
  assert.equal(bound.items.length, 84);
});

test("finalizeNamespace lets a namespace go with its last finalizer", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user });
  await client.create(namespaces, { metadata: { name: "short" } });
  await client.delete(namespaces, { name: "short" });
  const going: Namespace = await client.get(namespaces, { name: "short" });
  const kind = findKind("", "v1", "namespaces");
  assert.ok(kind !== undefined);
  const body = { ...going, spec: { finalizers: [] } };
  await opened.api.verbs.finalizeNamespace({ kind, name: "short", body }, { user });
  await assert.rejects(client.get(namespaces, { name: "short" }), { code: 404 });
});

test("patch answers what it made of an object that goes with its last finalizer", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user });
  const key = { namespace: "default", name: "held" };
  await client.create(configmaps, { metadata: { ...key, finalizers: ["example.com/hold"] } });
  await client.delete(configmaps, key);
  const body = { metadata: { finalizers: null } };
  const { metadata } = await client.patch(configmaps, key, { type: "merge", body });
  assert.deepEqual([metadata?.name, metadata?.finalizers ?? []], ["held", []]);
  await assert.rejects(client.get(configmaps, key), { code: 404 });
});

test("delete leaves what the cluster itself needs", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user });
  const refusal = (deleting: Promise<unknown>) =>
    deleting.then(
      () => assert.fail("it was deleted"),
      (error: Error) => error.message,
    );
  assert.deepEqual(
    [
      await refusal(client.delete(priorityclasses, { name: "system-node-critical" })),
      await refusal(client.delete(namespaces, { name: "default" })),
    ],
    [
      'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot be deleted',
      'namespaces "default" is forbidden: this namespace may not be deleted',
    ],
  );
});

test("a store that fails is told as ServiceUnavailable, and doubt is not hidden", async () => {
  const state = { failing: false };
  class Failing extends MemoryStore {
    override commit(transaction: Transaction) {
      if (state.failing) return Promise.reject(new StoreUnavailableError("the disk is full", { outcomeUnknown: true }));
      return super.commit(transaction);
    }
  }
  await using store = new Failing({ clock: realClock });
  await using api = await openApi({ store, clock: realClock, random: seededRandom(1), log: silentLogger });
  const client = inProcessClient({ verbs: api.verbs, user });
  state.failing = true;
  await assert.rejects(client.create(configmaps, { metadata: { name: "a", namespace: "default" } }), {
    code: 503,
    message: "the store cannot be written: the disk is full; the write may have been done all the same",
  });
});

test("reads do not wait for ever for a version that nobody has written", async () => {
  await using opened = await openTestApi();
  const kind = findKind("", "v1", "configmaps");
  assert.ok(kind !== undefined);
  await assert.rejects(opened.api.verbs.list({ kind, resourceVersion: "999999" }), {
    code: 504,
    message: /^Too large resource version: 999999, current: \d+$/,
  });
});
