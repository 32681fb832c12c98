import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Pod, ReplicaSet } from "../api/kinds/generated/types.ts";
import { isActive } from "./availability.ts";
import { planReplicas, replicaSetStatus } from "./replicaset.ts";

const nowMs = Date.UTC(2026, 0, 1, 0, 1);
const podOf = (
  name: string,
  {
    node,
    readySeconds,
    age = 0,
  }: { readonly node?: string; readonly readySeconds?: number; readonly age?: number } = {},
): Pod => ({
  metadata: { name, labels: { app: "web" }, creationTimestamp: new Date(nowMs - age * 1000).toISOString() },
  spec: { containers: [], ...(node === undefined ? {} : { nodeName: node }) },
  status: {
    phase: "Running",
    conditions:
      readySeconds === undefined
        ? []
        : [{ type: "Ready", status: "True", lastTransitionTime: new Date(nowMs - readySeconds * 1000).toISOString() }],
  },
});

test("planReplicas creates what is missing, counting pods that the cache has not shown yet", () => {
  deepEqual(
    [
      planReplicas(3, [podOf("a")], 0),
      planReplicas(3, [podOf("a")], 2),
      planReplicas(1, [podOf("a")], 2),
      planReplicas(1000, [], 0),
    ],
    [{ type: "create", count: 2 }, undefined, undefined, { type: "create", count: 250 }],
  );
});

test("planReplicas deletes first what does least: unbound, not Ready, crowded, young", () => {
  const pods = [
    podOf("old", { node: "a", readySeconds: 9, age: 9 }),
    podOf("young", { node: "a", readySeconds: 9, age: 1 }),
    podOf("alone", { node: "b", readySeconds: 9, age: 1 }),
    podOf("unready", { node: "c", age: 9 }),
    podOf("unbound", { age: 9 }),
  ];
  const deleted = (wanted: number) => {
    const change = planReplicas(wanted, pods, 0);
    return change?.type === "delete" ? change.pods.map(({ metadata }) => metadata?.name) : [];
  };
  deepEqual([deleted(0), deleted(4)], [["unbound", "unready", "young", "old", "alone"], ["unbound"]]);
});

test("replicaSetStatus counts as available what has been Ready for long enough, and says when the next one will be", () => {
  const set: ReplicaSet = {
    metadata: { name: "web", generation: 3 },
    spec: { selector: {}, minReadySeconds: 10, template: { metadata: { labels: { app: "web" } } } },
  };
  const pods = [
    podOf("a", { node: "a", readySeconds: 10 }),
    podOf("b", { node: "a", readySeconds: 4 }),
    podOf("c", { node: "a", readySeconds: 1 }),
    podOf("d"),
  ];
  deepEqual(replicaSetStatus(set, pods, nowMs), {
    status: { replicas: 4, fullyLabeledReplicas: 4, readyReplicas: 3, availableReplicas: 1, observedGeneration: 3 },
    nextMs: 6000,
  });
});

test("isActive leaves out pods that have ended or are being deleted", () => {
  const pod = podOf("a");
  deepEqual(
    [
      pod,
      { ...pod, metadata: { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } },
      { ...pod, status: { phase: "Failed" } },
      { ...pod, status: { phase: "Succeeded" } },
    ].map(isActive),
    [true, false, false, false],
  );
});
