import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod } from "../api/kinds/generated/types.ts";
import { defaultProfile } from "./profile.ts";
import { requirementsOf, withRuntimeHandler } from "./requirements.ts";
import { schedule } from "./schedule.ts";
import { createSnapshot, putNode, putPod } from "./snapshot.ts";

const node = (name: string, cpu: string, more: Partial<Node["spec"]> = {}): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name } },
  spec: { ...more },
  status: { allocatable: { cpu, memory: "1Gi", pods: "10" } },
});
const pod = (name: string, cpu: string, more: Partial<Pod["spec"]> = {}): Pod => ({
  metadata: { namespace: "default", name, labels: { app: "web" } },
  spec: { containers: [{ name: "c", image: "i", resources: { requests: { cpu } } }], ...more },
});
const decide = (nodes: readonly Node[], wanted: Pod, placed: readonly (readonly [Pod, string])[] = []) => {
  const snapshot = createSnapshot();
  for (const one of nodes) putNode(snapshot, one);
  for (const [one, name] of placed) putPod(snapshot, requirementsOf(one), name);
  return schedule(requirementsOf(wanted), snapshot, defaultProfile, 0);
};

test("schedule tells why no node fits, most frequent reason first", () => {
  const tainted = node("c", "4", { taints: [{ key: "a", value: "b", effect: "NoSchedule" }] });
  deepEqual(decide([node("a", "200m"), node("b", "100m"), tainted], pod("p", "500m")), {
    type: "unschedulable",
    message: "0/3 nodes fit: 2 need 500m CPU, have 200m free; 1 is tainted a=b:NoSchedule",
  });
});

test("schedule chooses the emptier node", () => {
  deepEqual(decide([node("a", "4"), node("b", "4")], pod("p", "1"), [[pod("q", "2"), "a"]]), {
    type: "bind",
    node: "b",
  });
});

test("schedule keeps a required spread", () => {
  const constraint = {
    topologyKey: "kubernetes.io/hostname",
    maxSkew: 1,
    whenUnsatisfiable: "DoNotSchedule",
    labelSelector: { matchLabels: { app: "web" } },
  };
  const placed = [[pod("q", "100m"), "b"]] as const;
  deepEqual(
    decide([node("a", "1"), node("b", "64")], pod("p", "1", { topologySpreadConstraints: [constraint] }), placed),
    { type: "bind", node: "a" },
  );
});

test("schedule follows nodeSelector and says which label is missing", () => {
  deepEqual(decide([node("a", "4")], pod("p", "1", { nodeSelector: { disk: "ssd" } })), {
    type: "unschedulable",
    message: "0/1 nodes fit: 1 lacks disk=ssd",
  });
});

test("schedule places where the handler of the RuntimeClass is, or says that it lacks", () => {
  const handlers = (...names: readonly string[]) => ({ runtimeHandlers: names.map((name) => ({ name })) });
  const [plain, other] = [node("a", "64"), node("b", "1")];
  const snapshot = createSnapshot();
  putNode(snapshot, plain);
  putNode(snapshot, { ...other, status: { ...other.status, ...handlers("", "naru", "runc") } });
  const wanted = (handler: string) => withRuntimeHandler(requirementsOf(pod("p", "100m")), handler);
  const decisions = ["naru", "runc", "runsc"].map((handler) => schedule(wanted(handler), snapshot, defaultProfile, 0));
  // What a node says of itself may change.
  const changed = putNode(snapshot, { ...plain, status: { ...plain.status, ...handlers("", "runsc") } });
  deepEqual(
    [...decisions, changed, schedule(wanted("runsc"), snapshot, defaultProfile, 0)],
    [
      { type: "bind", node: "a" },
      { type: "bind", node: "b" },
      { type: "unschedulable", message: "0/2 nodes fit: 2 lack the runtime handler runsc" },
      true,
      { type: "bind", node: "a" },
    ],
  );
});
