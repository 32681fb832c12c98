import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { type NodeRoom, roomRefusal } from "./node-room.ts";

const node: NodeRoom = {
  object: { metadata: { name: "one", labels: { disk: "ssd" } } },
  allocatable: { cpu: 2000, memory: 2 ** 30, pods: 3 },
};

const pod = (cpu: string, memory = "0", more: Partial<NonNullable<Pod["spec"]>> = {}): Pod => ({
  spec: { containers: [{ name: "main", resources: { requests: { cpu, memory } } }], ...more },
});

test("roomRefusal says what the node has too little of, or that the pod wants another node", () => {
  const cases: readonly (readonly [string, Pod, readonly Pod[]])[] = [
    ["fits exactly", pod("500m"), [pod("1"), pod("500m")]],
    ["too much cpu", pod("600m"), [pod("1"), pod("500m")]],
    ["too much memory", pod("0", "600Mi"), [pod("0", "500Mi")]],
    ["too many pods", pod("0"), [pod("0"), pod("0"), pod("0")]],
    ["another node's label", pod("0", "0", { nodeSelector: { disk: "hdd" } }), []],
    ["its own label", pod("0", "0", { nodeSelector: { disk: "ssd" } }), []],
    ["a pod's own sum", pod("100m", "0", { resources: { requests: { cpu: "3" } } }), []],
    [
      "what the node does not have",
      { spec: { containers: [{ name: "a", resources: { requests: { gpu: "1" } } }] } },
      [],
    ],
  ];
  assert.deepEqual(Object.fromEntries(cases.map(([name, each, others]) => [name, roomRefusal(each, others, node)])), {
    "fits exactly": undefined,
    "too much cpu": {
      reason: "OutOfcpu",
      message: "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000",
    },
    "too much memory": {
      reason: "OutOfmemory",
      message: "Node didn't have enough resource: memory, requested: 629145600, used: 524288000, capacity: 1073741824",
    },
    "too many pods": {
      reason: "OutOfpods",
      message: "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
    },
    "another node's label": { reason: "NodeAffinity", message: "Predicate NodeAffinity failed" },
    "its own label": undefined,
    "a pod's own sum": {
      reason: "OutOfcpu",
      message: "Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000",
    },
    "what the node does not have": undefined,
  });
});
