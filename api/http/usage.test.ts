import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeUsage, parseNodeUsage } from "../../lib/node-usage.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { planPodUsages } from "./usage.ts";

const pod = (name: string, nodeName: string): Pod => ({
  metadata: { name, namespace: "shop" },
  spec: { nodeName, containers: [] },
});
const used = (name: string, container: string) => ({
  namespace: "shop",
  pod: name,
  container,
  cpuNanoCores: 5,
  memoryBytes: 6,
});
const usage = (...containers: ReturnType<typeof used>[]): NodeUsage => ({
  windowSeconds: 0.5,
  cpuNanoCores: 1,
  memoryBytes: 2,
  containers,
});

test("planPodUsages joins containers with their pods, and lets a node speak of its own pods only", () => {
  const [a, b, c] = [pod("a", "n1"), pod("b", "n2"), pod("c", "silent")];
  const [n1, n2] = [usage(used("a", "x"), used("a", "y"), used("b", "forged")), usage()];
  const usages = new Map([
    ["n1", n1],
    ["n2", n2],
  ]);
  assert.deepEqual(planPodUsages([a, b, c], usages), [
    { pod: a, usage: n1, containers: [used("a", "x"), used("a", "y")] },
  ]);
});

test("parseNodeUsage takes what an agent sends and nothing else", () => {
  const sent = usage(used("a", "x"));
  assert.deepEqual(parseNodeUsage(JSON.stringify(sent)), sent);
  for (const text of ["[]", "{}", '{"containers":[],"windowSeconds":-1}', '{"containers":[{}],"windowSeconds":1}'])
    assert.throws(() => parseNodeUsage(text), TypeError);
});
