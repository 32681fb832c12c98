import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod, Taint, Toleration } from "../api/kinds/generated/types.ts";
import { evictionTimeMs, healthOf, isShuttingDown, planTaints } from "./node-lifecycle.ts";

const nowMs = Date.UTC(2026, 0, 1);
const nodeOf = (ready: string | undefined, taints: readonly Taint[] = []): Node => ({
  metadata: { name: "a" },
  spec: { taints },
  status: { conditions: ready === undefined ? [] : [{ type: "Ready", status: ready }] },
});
const unreachable: readonly Taint[] = [
  { key: "node.kubernetes.io/unreachable", effect: "NoSchedule" },
  { key: "node.kubernetes.io/unreachable", effect: "NoExecute", timeAdded: "2026-01-01T00:00:00Z" },
];
const own: Taint = { key: "gpu", value: "yes", effect: "NoSchedule" };

test("healthOf tells a node that says it is not well from one that says nothing", () => {
  deepEqual(
    ["True", "False", "Unknown", undefined].map((ready) => healthOf(nodeOf(ready))),
    ["ready", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"],
  );
});

test("planTaints adds and takes away its own taints only, and gives back the same list when they are right", () => {
  const silent = nodeOf("Unknown", [own, ...unreachable]);
  const healthy = nodeOf("True", [own]);
  deepEqual(
    [
      planTaints(nodeOf("Unknown", [own]), nowMs),
      planTaints(nodeOf("True", [own, ...unreachable]), nowMs),
      planTaints(nodeOf("False", unreachable), nowMs).map(({ key, effect }) => `${key}:${effect}`),
      planTaints(silent, nowMs + 5000) === silent.spec?.taints,
      planTaints(healthy, nowMs) === healthy.spec?.taints,
    ],
    [
      [own, ...unreachable],
      [own],
      ["node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"],
      true,
      true,
    ],
  );
});

test("planTaints keeps further pods off a node that runs short, and lets them in again", () => {
  const short: Node = {
    metadata: { name: "a" },
    spec: { taints: [own] },
    status: {
      conditions: [
        { type: "Ready", status: "True" },
        { type: "MemoryPressure", status: "True" },
        { type: "DiskPressure", status: "False" },
        { type: "PIDPressure", status: "True" },
      ],
    },
  };
  const tainted = planTaints(short, nowMs);
  deepEqual(
    [
      tainted,
      planTaints({ ...short, spec: { taints: tainted } }, nowMs) === tainted,
      planTaints(nodeOf("True", tainted), nowMs),
    ],
    [
      [
        own,
        { key: "node.kubernetes.io/memory-pressure", effect: "NoSchedule" },
        { key: "node.kubernetes.io/pid-pressure", effect: "NoSchedule" },
      ],
      true,
      [own],
    ],
  );
});

test("evictionTimeMs lets a pod's own toleration decide before the cluster's default", () => {
  const key = "node.kubernetes.io/unreachable";
  const podOf = (...tolerations: readonly Toleration[]): Pod => ({ spec: { containers: [], tolerations } });
  const timeOf = (pod: Pod) => evictionTimeMs(pod, key, 1000, 2000);
  deepEqual(
    [
      timeOf(podOf()),
      timeOf(podOf({ key, operator: "Exists", effect: "NoExecute" })),
      timeOf(podOf({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 60 })),
      timeOf(podOf({ operator: "Exists" })),
      timeOf(podOf({ key, operator: "Exists", effect: "NoSchedule" })),
      timeOf(podOf({ key: "node.kubernetes.io/not-ready", operator: "Exists" })),
    ],
    [3000, undefined, 61_000, undefined, 3000, 3000],
  );
});

test("planTaints lets a node that says that it goes down end its own pods, and keeps further ones off", () => {
  const node = nodeOf("False", [own]);
  const conditions = [{ type: "Ready", status: "False", message: "node is shutting down" }];
  const goesDown = { ...node, status: { conditions } };
  deepEqual(
    [
      planTaints(goesDown, nowMs).map(({ key, effect }) => `${key}:${effect}`),
      isShuttingDown(goesDown),
      isShuttingDown(node),
    ],
    [["gpu:NoSchedule", "node.kubernetes.io/not-ready:NoSchedule"], true, false],
  );
});
