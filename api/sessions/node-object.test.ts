import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "../kinds/generated/types.ts";
import { type NodeWanted, notReadySinceAnnotation, planNode, sessionAnnotation } from "./node-object.ts";

const nowMs = Date.UTC(2026, 0, 1);
const heard: NodeWanted = {
  name: "a",
  hello: {
    metadata: {
      name: "liar",
      labels: {
        ...{ disk: "ssd", "kubernetes.io/hostname": "x", "my.node.kubernetes.io/z": "2" },
        ...{ "node-restriction.kubernetes.io/y": "1", "mynode.kubernetes.io/z": "2" },
      },
    },
    spec: { taints: [{ key: "t", effect: "NoSchedule" }], podCIDR: "1.2.3.0/24" },
    status: { capacity: { cpu: "1" }, conditions: [{ type: "MemoryPressure", status: "False" }] },
  },
  status: undefined,
  session: "e/1",
  formerSession: undefined,
  lost: undefined,
};

/** Writes until nothing is left to write, as the API does: metadata and status apart. Gives the verbs in order. */
function settle(
  wanted: NodeWanted,
  start: Node | undefined,
  atMs = nowMs,
): { readonly node: Node; readonly steps: readonly string[] } {
  let node = start;
  const steps: string[] = [];
  for (let i = 0; i < 10; i++) {
    const step = planNode(wanted, node, atMs + i);
    if (step === undefined) break;
    steps.push(step.type);
    if (step.type === "create") node = step.node;
    else if (step.type === "updateStatus") node = { ...node, status: step.node.status ?? {} };
    else node = { ...step.node, status: node?.status ?? {} };
  }
  assert(node !== undefined);
  return { node, steps };
}

function readyOf({ status, metadata }: Node) {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return [ready?.status, ready?.lastTransitionTime, metadata?.annotations?.[notReadySinceAnnotation]];
}

test("planNode makes a Node of what the agent may say of itself", () => {
  const { node, steps } = settle(heard, undefined);
  assert.deepEqual(
    [steps, node.metadata, node.spec, readyOf(node)],
    [
      ["create"],
      {
        name: "a",
        labels: { disk: "ssd", "kubernetes.io/hostname": "x", "my.node.kubernetes.io/z": "2" },
        annotations: { [sessionAnnotation]: "e/1" },
      },
      { taints: [{ key: "t", effect: "NoSchedule" }] },
      ["True", "2026-01-01T00:00:00Z", undefined],
    ],
  );
});

test("planNode keeps what others wrote on the Node, and writes nothing when nothing changed", () => {
  const { node } = settle(heard, undefined);
  const edited: Node = {
    ...node,
    metadata: { ...node.metadata, labels: { ...node.metadata?.labels, mine: "1" } },
    spec: { unschedulable: true, podCIDR: "10.0.0.0/24" },
  };
  const again = settle({ ...heard, session: "e/2" }, edited, nowMs + 60_000);
  assert.deepEqual(
    [
      again.steps,
      again.node.metadata?.labels?.["mine"],
      again.node.spec,
      settle({ ...heard, session: "e/2" }, again.node).steps,
    ],
    [["update"], "1", { unschedulable: true, podCIDR: "10.0.0.0/24" }, []],
  );
});

test("planNode notes since when a lost node is not ready before its condition says so, and forgets it after it is back", () => {
  const { node } = settle(heard, undefined);
  const lostMs = nowMs + 5000;
  const lost = { ...heard, lost: { sinceEpochMs: lostMs, message: "no heartbeat for 1.0 s" } };
  const gone = settle(lost, node, lostMs);
  const back = settle({ ...heard, session: "e/2" }, gone.node, lostMs + 2000);
  assert.deepEqual(
    [
      gone.steps,
      readyOf(gone.node),
      gone.node.status?.conditions?.map(({ status }) => status),
      back.steps,
      readyOf(back.node),
    ],
    [
      ["update", "updateStatus"],
      ["Unknown", "2026-01-01T00:00:05Z", String(lostMs)],
      ["Unknown", "Unknown"],
      ["update", "updateStatus", "update"],
      ["True", "2026-01-01T00:00:07Z", undefined],
    ],
  );
});

test("planNode leaves a lost node alone that another server's session has taken over", () => {
  const { node } = settle({ ...heard, session: "other/9" }, undefined);
  const lost = { ...heard, lost: { sinceEpochMs: nowMs, message: "m" } };
  assert.deepEqual(
    [planNode(lost, node, nowMs), planNode({ ...lost, formerSession: "other/9" }, node, nowMs)?.type],
    [undefined, "update"],
  );
});

test("planNode follows an agent that says itself that it is not ready", () => {
  const { node } = settle(heard, undefined);
  const conditions = [{ type: "Ready", status: "False", reason: "KubeletNotReady", message: "no network" }];
  const sick = settle({ ...heard, status: { conditions } }, node, nowMs + 1000);
  assert.deepEqual(
    [sick.steps, readyOf(sick.node)],
    [
      ["update", "updateStatus"],
      ["False", "2026-01-01T00:00:01Z", String(nowMs + 1000)],
    ],
  );
});
