import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openAssignmentCache } from "../../node-agent/session-cache.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { NodeFeed } from "./node-feed.ts";

const limits = { partBytesMax: 120, keysMax: 6, inFlightMax: 2 };

function sourceOf(objects: ReadonlyMap<string, number>) {
  const wanted = (item: string): KubeObject | undefined => {
    const version = objects.get(item);
    return version === undefined ? undefined : { metadata: { name: item, resourceVersion: String(version) } };
  };
  return { wanted, all: () => [...objects.keys()] };
}

test("NodeFeed cuts a full state into parts, then sends changes only", () => {
  const objects = new Map([1, 2, 3].map((i) => [`pods/default/p${i}`, i]));
  const feed = new NodeFeed(limits);
  const parts = () => {
    const sent: unknown[] = [];
    for (let part = feed.nextPart(sourceOf(objects)); part !== undefined; part = feed.nextPart(sourceOf(objects))) {
      const { generation, baseGeneration, full, more, put, remove } = part;
      sent.push([Number(baseGeneration), Number(generation), full, more, put.length, remove.length]);
    }
    return sent;
  };
  const first = parts();
  objects.delete("pods/default/p1");
  feed.mark("pods/default/p1");
  objects.set("pods/default/p4", 4);
  feed.mark("pods/default/p4");
  assert.deepEqual(
    [first, parts()],
    [
      [
        [0, 1, true, true, 2, 0],
        [0, 1, true, false, 1, 0],
      ],
      [[1, 2, false, false, 1, 1]],
    ],
  );
});

test("NodeFeed holds changes back while an agent has enough to apply", () => {
  const objects = new Map([["pods/default/p", 1]]);
  const feed = new NodeFeed(limits);
  const change = () => {
    feed.mark("pods/default/p");
    return feed.nextPart(sourceOf(objects))?.generation;
  };
  const sent = [feed.nextPart(sourceOf(objects))?.generation, change(), change(), change()];
  feed.applied(2n);
  const freed = feed.nextPart(sourceOf(objects))?.generation;
  assert.deepEqual([sent, freed], [[1n, 2n, undefined, undefined], 3n]);
});

type Step =
  | { readonly type: "set" | "delete"; readonly key: number }
  | { readonly type: "send" | "lose" | "apply" | "reconnect" | "otherServer" };

/** Every item is a part of its own, so that sessions break in the middle. */
const tinyParts = { ...limits, partBytesMax: 1 };

test("NodeFeed brings an agent to the present from wherever it was cut off", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ type: fc.constantFrom("set" as const, "delete" as const), key: fc.nat(9) }),
    fc.record({
      type: fc.constantFrom(
        "send" as const,
        "lose" as const,
        "apply" as const,
        "reconnect" as const,
        "otherServer" as const,
      ),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const objects = new Map<string, number>();
      const cache = openAssignmentCache();
      let feed = new NodeFeed(tinyParts);
      let version = 0;
      // True: something on this connection was lost, so nothing after it arrives.
      let broken = false;
      const send = (lost: boolean) => {
        const part = feed.nextPart(sourceOf(objects));
        if (part === undefined) return false;
        if (lost) broken = true;
        if (!broken) assert.notEqual(cache.take(part), "gap");
        return true;
      };
      const connect = (known: boolean) => {
        broken = false;
        cache.dropParts();
        if (!known) cache.startEpoch();
        feed.begin(known ? cache.generation : undefined);
      };
      connect(false);
      for (const { type, ...rest } of steps) {
        const key = `pods/default/p${"key" in rest ? rest.key : 0}`;
        if (type === "set") objects.set(key, ++version);
        if (type === "delete") objects.delete(key);
        if (type === "set" || type === "delete") feed.mark(key);
        if (type === "send") send(false);
        if (type === "lose") send(true);
        if (type === "apply" && !broken) feed.applied(cache.generation);
        if (type === "reconnect") connect(true);
        if (type === "otherServer") {
          feed = new NodeFeed(tinyParts);
          connect(false);
        }
      }
      connect(true);
      while (send(false)) feed.applied(cache.generation);
      const has = cache
        .list("pods")
        .map(({ metadata }) => [metadata?.name, Number(metadata?.resourceVersion)] as const);
      assert.deepEqual(new Map(has), objects);
    }),
    { numRuns: 2000 },
  );
});
