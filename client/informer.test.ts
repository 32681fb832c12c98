import assert from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { configmaps } from "../api/kinds/generated/resources.ts";
import type { ConfigMap } from "../api/kinds/generated/types.ts";
import { ApiError } from "../api/kinds/status.ts";
import { silentLogger } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { openTestApi } from "../test/api.ts";
import type { Client } from "./client.ts";
import { inProcessClient } from "./in-process.ts";
import { startInformer } from "./informer.ts";

const map = (name: string, owner: string): ConfigMap => ({
  metadata: { name, namespace: "default" },
  data: { owner },
});

async function setUp() {
  const opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  const clock = virtualClock();
  const start = (through: Client = client) =>
    startInformer({
      client: through,
      resource: configmaps,
      indexes: { owner: (object: ConfigMap) => [object.data?.["owner"] ?? ""] },
      clock,
      random: seededRandom(1),
      log: silentLogger,
    });
  return { client, clock, start, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

function names(objects: Iterable<ConfigMap>): string[] {
  return [...objects].map((object) => object.metadata?.name ?? "").sort();
}

test("startInformer lists, follows and indexes", async () => {
  await using set = await setUp();
  await set.client.create(configmaps, map("a", "x"));
  await using informer = set.start();
  await informer.whenSynced;
  const heard: string[] = [];
  informer.onChange((key, object, previous) => {
    heard.push(`${key} ${previous?.data?.["owner"]} -> ${object?.data?.["owner"]}`);
  });
  await set.client.create(configmaps, map("b", "x"));
  const b = await set.client.get(configmaps, { namespace: "default", name: "b" });
  await set.client.update(configmaps, { ...b, data: { owner: "y" } });
  await set.client.delete(configmaps, { namespace: "default", name: "a" });
  await set.clock.settle();
  assert.deepEqual(heard, [
    "default/a undefined -> x",
    "default/b undefined -> x",
    "default/b x -> y",
    "default/a x -> undefined",
  ]);
  assert.deepEqual(
    [names(informer.list()), names(informer.byIndex("owner", "x")), names(informer.byIndex("owner", "y"))],
    [["b"], [], ["b"]],
  );
});

test("startInformer lists again when its version is gone, and tells what it missed", async () => {
  await using set = await setUp();
  await set.client.create(configmaps, map("gone", "x"));
  const cut = Promise.withResolvers<never>();
  let lists = 0;
  let watches = 0;
  const breaking: Client = {
    ...set.client,
    list: (...options) => {
      lists++;
      return set.client.list(...options);
    },
    // The first watch hears nothing and ends with Expired; the second breaks; then all is well.
    watch: async function* (resource, options, signal) {
      watches++;
      if (watches === 1) await cut.promise;
      if (watches === 2) throw new Error("connection lost");
      yield* set.client.watch(resource, options, signal);
    },
  };
  await using informer = set.start(breaking);
  await informer.whenSynced;
  await set.client.delete(configmaps, { namespace: "default", name: "gone" });
  await set.client.create(configmaps, map("new", "x"));
  cut.reject(new ApiError("Expired", "too old resource version"));
  await set.clock.advance(10_000);
  await set.client.create(configmaps, map("newer", "x"));
  await set.clock.settle();
  assert.deepEqual([names(informer.list()), lists, watches], [["new", "newer"], 2, 3]);
});

test("startInformer keeps trying while the API is away, with growing waits", async () => {
  await using set = await setUp();
  await set.client.create(configmaps, map("a", "x"));
  const tries: number[] = [];
  const away: Client = {
    ...set.client,
    list: async (...options) => {
      tries.push(set.clock.monotonicMs());
      if (tries.length < 8) throw new ApiError("ServiceUnavailable", "away");
      return set.client.list(...options);
    },
  };
  await using informer = set.start(away);
  await set.clock.advance(60_000);
  assert.deepEqual([informer.synced, names(informer.list())], [true, ["a"]]);
  const waits = tries.slice(1).map((at, i) => at - (tries[i] ?? 0));
  assert.ok(
    waits.every((wait, i) => wait <= 5000 && (i < 2 || wait > (waits[i - 2] ?? 0))),
    `${waits}`,
  );
});

test("startInformer outlives a handler that throws", async () => {
  await using set = await setUp();
  await using informer = set.start();
  const heard: string[] = [];
  informer.onChange(() => {
    throw new Error("bug");
  });
  informer.onChange((key) => heard.push(key));
  await informer.whenSynced;
  heard.length = 0;
  await set.client.create(configmaps, map("a", "x"));
  await set.clock.settle();
  assert.deepEqual(heard, ["default/a"]);
});
