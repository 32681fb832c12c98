import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { DaemonSet, DaemonSetSpec, Node, NodeSpec, Pod } from "../api/kinds/generated/types.ts";
import { daemonPod } from "./daemonset.ts";
import { daemonTolerations, planDaemons } from "./plan-daemons.ts";

const nowMs = Date.UTC(2026, 0, 1, 0, 1);
const setOf = (spec: Partial<DaemonSetSpec> = {}): DaemonSet => ({
  metadata: { name: "log", namespace: "default", uid: "u", generation: 2 },
  spec: {
    selector: { matchLabels: { app: "log" } },
    template: { metadata: { labels: { app: "log" } }, spec: { containers: [] } },
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    ...spec,
  },
});
const nodeOf = (name: string, spec: NodeSpec = {}, labels = {}): Node => ({ metadata: { name, labels }, spec });
interface PodFacts {
  readonly hash?: string;
  readonly readySeconds?: number;
  readonly phase?: string;
  readonly ending?: boolean;
  readonly age?: number;
}
const podOn = (node: string, facts: PodFacts = {}): Pod => {
  const { hash = "new", readySeconds = 60, phase = "Running", ending = false, age = 60 } = facts;
  const made = daemonPod(setOf(), { name: `log-${node}-${hash}`, node, hash });
  const since = new Date(nowMs - readySeconds * 1000).toISOString();
  return {
    ...made,
    metadata: {
      ...made.metadata,
      creationTimestamp: new Date(nowMs - age * 1000).toISOString(),
      ...(ending ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    status: {
      phase,
      conditions: [{ type: "Ready", status: readySeconds < 0 ? "False" : "True", lastTransitionTime: since }],
    },
  };
};
const plan = (pods: readonly Pod[], set = setOf(), nodes = ["a", "b", "c"].map((name) => nodeOf(name))) => {
  const { create, remove, status } = planDaemons({ set, nodes, pods, hash: "new", nowMs });
  const counts = [status.desiredNumberScheduled, status.currentNumberScheduled, status.numberMisscheduled];
  return { create, remove: remove.map(({ metadata }) => metadata?.name), counts };
};

test("planDaemons gives each node that fits one pod, which nobody else may take", () => {
  const set = setOf({
    template: {
      spec: { containers: [], nodeSelector: { disk: "ssd" }, tolerations: [{ key: "gpu", operator: "Exists" }] },
    },
  });
  const nodes = [
    nodeOf("plain"),
    nodeOf("ssd", {}, { disk: "ssd" }),
    nodeOf("gpu", { taints: [{ key: "gpu", effect: "NoSchedule" }] }, { disk: "ssd" }),
    nodeOf(
      "cordoned",
      { unschedulable: true, taints: [{ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }] },
      { disk: "ssd" },
    ),
    nodeOf("special", { taints: [{ key: "special", effect: "NoSchedule" }] }, { disk: "ssd" }),
  ];
  deepEqual(plan([], set, nodes), { create: ["ssd", "gpu", "cordoned"], remove: [], counts: [3, 0, 0] });
});

test("planDaemons removes what a node may not keep, and only what was there before stays with a new taint", () => {
  const nodes = [
    nodeOf("kept", { taints: [{ key: "special", effect: "NoSchedule" }] }),
    nodeOf("emptied", { taints: [{ key: "special", effect: "NoExecute" }] }),
    nodeOf("lost", { taints: [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute" }] }),
  ];
  const pods = ["kept", "emptied", "lost", "gone"].map((node) => podOn(node));
  deepEqual(plan(pods, setOf(), nodes), { create: [], remove: ["log-emptied-new", "log-gone-new"], counts: [1, 1, 3] });
});

test("planDaemons never has two on a node: one that ends keeps its place, a second one goes", () => {
  deepEqual(
    plan([
      podOn("a", { ending: true }),
      podOn("b", { age: 20 }),
      {
        ...podOn("b", { age: 10 }),
        metadata: { ...podOn("b").metadata, name: "second", creationTimestamp: "2026-01-01T00:00:59Z" },
      },
      podOn("c", { phase: "Failed" }),
    ]),
    { create: [], remove: ["second", "log-c-new"], counts: [3, 3, 0] },
  );
});

test("planDaemons replaces old pods as many at a time as may be unavailable, broken ones first", () => {
  const old = (node: string, facts: PodFacts = {}) => podOn(node, { hash: "old", ...facts });
  deepEqual(
    [
      plan([old("a"), old("b"), old("c")]).remove,
      plan([old("a", { ending: true }), old("b"), old("c")]).remove,
      plan([podOn("a", { readySeconds: -1 }), old("b"), old("c")]).remove,
      plan([old("a"), old("b", { readySeconds: -1 }), old("c")]).remove,
      plan(
        [podOn("a"), old("b"), old("c")],
        setOf({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "50%" } } }),
      ).remove,
      plan([podOn("a"), old("b"), old("c")], setOf({ updateStrategy: { type: "OnDelete" } })).remove,
    ],
    [["log-a-old"], [], [], ["log-b-old"], ["log-b-old", "log-c-old"], []],
  );
});

test("planDaemons with a surge makes the new pod first, and lets the old one go when the new one is available", () => {
  const surging = (minReadySeconds = 0) =>
    setOf({
      minReadySeconds,
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    });
  const old = (node: string, facts: PodFacts = {}) => podOn(node, { hash: "old", age: 90, ...facts });
  const only = (pods: readonly Pod[], set = surging()) => {
    const { create, remove } = plan(pods, set);
    return { create, remove };
  };
  deepEqual(
    [
      only([old("a"), old("b"), old("c")]),
      only([old("a"), podOn("a", { readySeconds: -1 }), old("b"), old("c")]),
      only([old("a"), podOn("a", { readySeconds: 5 }), old("b"), old("c")], surging(10)),
      only([old("a"), podOn("a"), old("b"), old("c")]),
      only([old("a", { readySeconds: -1 }), old("b"), old("c")]),
    ],
    [
      { create: ["a"], remove: [] },
      { create: [], remove: [] },
      { create: [], remove: [] },
      { create: [], remove: ["log-a-old"] },
      { create: ["a", "b"], remove: [] },
    ],
  );
});

test("planDaemons counts nodes as Kubernetes does, and says when the next pod becomes available", () => {
  const pods = [
    podOn("a", { readySeconds: 20 }),
    podOn("b", { readySeconds: 4 }),
    podOn("c", { hash: "old", readySeconds: -1 }),
  ];
  const set = setOf({ minReadySeconds: 10 });
  const { status, nextMs } = planDaemons({
    set,
    nodes: ["a", "b", "c", "d"].map((name) => nodeOf(name)),
    pods,
    hash: "new",
    nowMs,
  });
  deepEqual(
    { status, nextMs },
    {
      status: {
        currentNumberScheduled: 3,
        numberMisscheduled: 0,
        desiredNumberScheduled: 4,
        numberReady: 2,
        observedGeneration: 2,
        updatedNumberScheduled: 2,
        numberAvailable: 1,
        numberUnavailable: 3,
      },
      nextMs: 6000,
    },
  );
});

test("daemonTolerations adds what keeps a pod on a node in trouble, once", () => {
  const said = { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" };
  const set = setOf({ template: { spec: { containers: [], hostNetwork: true, tolerations: [said] } } });
  deepEqual(
    daemonTolerations(set).map(({ key, effect }) => `${key?.split("/")[1]}:${effect}`),
    [
      "not-ready:NoExecute",
      "unreachable:NoExecute",
      "disk-pressure:NoSchedule",
      "memory-pressure:NoSchedule",
      "pid-pressure:NoSchedule",
      "unschedulable:NoSchedule",
      "network-unavailable:NoSchedule",
    ],
  );
});
