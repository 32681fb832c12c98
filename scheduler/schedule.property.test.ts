import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Node, Pod, Taint, Toleration } from "../api/kinds/generated/types.ts";
import { defaultProfile } from "./profile.ts";
import { requirementsOf } from "./requirements.ts";
import { schedule } from "./schedule.ts";
import { createSnapshot, putNode, putPod, removeNode, removePod } from "./snapshot.ts";

const taintOf = (key: string): Taint => ({ key, value: "yes", effect: "NoSchedule" });
const tolerationOf = (key: string): Toleration => ({ key, operator: "Equal", value: "yes", effect: "NoSchedule" });

const nodeDrawn = fc.record({
  cpu: fc.integer({ min: 0, max: 8 }),
  memory: fc.integer({ min: 0, max: 8 }),
  pods: fc.integer({ min: 0, max: 4 }),
  disk: fc.constantFrom("ssd", "hdd"),
  taints: fc.uniqueArray(fc.constantFrom("gpu", "edge"), { maxLength: 2 }),
  unschedulable: fc.boolean(),
});
const podDrawn = fc.record({
  cpu: fc.integer({ min: 0, max: 4 }),
  memory: fc.integer({ min: 0, max: 4 }),
  disk: fc.option(fc.constantFrom("ssd", "hdd"), { nil: undefined }),
  tolerates: fc.uniqueArray(fc.constantFrom("gpu", "edge"), { maxLength: 2 }),
  hostPort: fc.option(fc.constantFrom(80, 81), { nil: undefined }),
});
type NodeDrawn = typeof nodeDrawn extends fc.Arbitrary<infer T> ? T : never;
type PodDrawn = typeof podDrawn extends fc.Arbitrary<infer T> ? T : never;
/** One thing that happens to the cluster. */
const stepDrawn = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("pod" as const), pod: podDrawn }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("end" as const), pod: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("change" as const), slot: fc.nat(5), node: nodeDrawn }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("leave" as const), slot: fc.nat(5) }) },
);

test("schedule never overcommits a node, and keeps to taints, selectors and ports, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(nodeDrawn, { maxLength: 6 }), fc.array(stepDrawn, { maxLength: 40 }), (drawn, steps) => {
      const snapshot = createSnapshot();
      const nodes = new Map<string, NodeDrawn>();
      const placed = new Map<string, { readonly pod: PodDrawn; readonly node: string }>();
      const put = (name: string, node: NodeDrawn) => {
        nodes.set(name, node);
        putNode(snapshot, nodeOf(name, node));
      };
      for (const [i, node] of drawn.entries()) put(`node-${i}`, node);
      for (const [i, step] of steps.entries()) {
        if (step.type === "change") put(`node-${step.slot}`, step.node);
        else if (step.type === "leave") {
          nodes.delete(`node-${step.slot}`);
          removeNode(snapshot, `node-${step.slot}`);
        } else if (step.type === "end") {
          const name = [...placed.keys()][step.pod];
          if (name === undefined) continue;
          placed.delete(name);
          removePod(snapshot, `default/${name}`);
        } else {
          const requirements = requirementsOf(podOf(`pod-${i}`, step.pod));
          const decision = schedule(requirements, snapshot, defaultProfile, i);
          const fitting = [...nodes].filter(([name, node]) => fits(step.pod, { name, node }, placed));
          if (decision.type === "unschedulable") {
            deepEqual([decision.message, fitting], [decision.message, []]);
            ok(countedNodes(decision.message) === nodes.size, decision.message);
            continue;
          }
          ok(
            fitting.some(([name]) => name === decision.node),
            `${JSON.stringify(step.pod)} does not fit ${decision.node}`,
          );
          placed.set(`pod-${i}`, { pod: step.pod, node: decision.node });
          putPod(snapshot, requirements, decision.node);
        }
      }
    }),
    { numRuns: 300 },
  );
});

// Said again in the plainest way, over the drawn values themselves.
function fits(
  pod: PodDrawn,
  { name, node }: { readonly name: string; readonly node: NodeDrawn },
  placed: ReadonlyMap<string, { readonly pod: PodDrawn; readonly node: string }>,
): boolean {
  const there = [...placed.values()].filter((one) => one.node === name).map((one) => one.pod);
  const used = (of: "cpu" | "memory") => there.reduce((sum, one) => sum + one[of], 0);
  return (
    !node.unschedulable &&
    node.taints.every((taint) => pod.tolerates.includes(taint)) &&
    (pod.disk === undefined || pod.disk === node.disk) &&
    (pod.cpu === 0 || used("cpu") + pod.cpu <= node.cpu) &&
    (pod.memory === 0 || used("memory") + pod.memory <= node.memory) &&
    there.length + 1 <= node.pods &&
    (pod.hostPort === undefined || there.every((one) => one.hostPort !== pod.hostPort))
  );
}

/** "0/5 nodes fit: 3 need …; 2 are …": how many nodes the reasons name, when they agree with the total. */
function countedNodes(message: string): number {
  const total = Number(/^0\/(\d+) nodes fit/.exec(message)?.[1]);
  if (total === 0) return 0;
  const reasons = message.slice(message.indexOf(": ") + 2).split("; ");
  const counted = reasons.reduce((sum, reason) => sum + Number.parseInt(reason, 10), 0);
  return counted === total ? total : Number.NaN;
}

function nodeOf(name: string, { cpu, memory, pods, disk, taints, unschedulable }: NodeDrawn): Node {
  return {
    metadata: { name, labels: { disk } },
    spec: { unschedulable, taints: taints.map(taintOf) },
    status: { allocatable: { cpu: `${cpu}`, memory: `${memory}Gi`, pods: `${pods}` } },
  };
}

function podOf(name: string, { cpu, memory, disk, tolerates, hostPort }: PodDrawn): Pod {
  const requests = { cpu: `${cpu}`, memory: `${memory}Gi` };
  const ports = hostPort === undefined ? [] : [{ containerPort: hostPort, hostPort, protocol: "TCP" }];
  return {
    metadata: { namespace: "default", name, labels: { app: "web" } },
    spec: {
      containers: [{ name: "app", image: "app:1", resources: { requests }, ports }],
      tolerations: tolerates.map(tolerationOf),
      ...(disk === undefined ? {} : { nodeSelector: { disk } }),
    },
  };
}
