import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, ResourceRequirements } from "../../api/kinds/generated/types.ts";
import { allocatedPod, allocationOf, needsRestart, resizeRefusal, toResize, withResize } from "./resize.ts";

const node = {
  nodeName: "n",
  nodeIp: "",
  allocatableCpuMilli: 2000,
  allocatableMemoryBytes: 2 ** 30,
  allocatableEphemeralStorageBytes: 0,
};

function podOf(resources: ResourceRequirements, more: Partial<Container> = {}): Pod {
  return { metadata: { uid: "u" }, spec: { containers: [{ name: "a", resources, ...more }] } };
}

const cpu = (amount: string): ResourceRequirements => ({ requests: { cpu: amount } });

test("toResize names containers that want other amounts, however they are written", () => {
  const allocation = allocationOf(podOf(cpu("1")));
  const names = (pod: Pod) => toResize(pod, allocation).map(({ name }) => name);
  assert.deepEqual([names(podOf(cpu("1000m"))), names(podOf(cpu("1500m"))), names(podOf({}))], [[], ["a"], ["a"]]);
});

test("allocationOf goes on with what the status says containers have", () => {
  const status = {
    containerStatuses: [{ name: "a", image: "", imageID: "", ready: true, restartCount: 0, resources: cpu("1") }],
  };
  const pod = { ...podOf(cpu("2")), status };
  const allocation = allocationOf(pod);
  assert.deepEqual([allocation.get("a"), allocatedPod(pod, allocation).spec], [cpu("1"), podOf(cpu("1")).spec]);
});

test("resizeRefusal tells what the node never has from what it has not now", () => {
  const why = (pod: Pod, ...others: readonly Pod[]) => resizeRefusal(pod, others, node);
  const words = (used: number, wanted: number) =>
    `Node didn't have enough cpu: requested: ${wanted}, used: ${used}, capacity: 2000`;
  assert.deepEqual(
    [why(podOf(cpu("2"))), why(podOf(cpu("3"))), why(podOf(cpu("1")), podOf(cpu("1")), podOf(cpu("500m")))],
    [
      undefined,
      { condition: "PodResizePending", reason: "Infeasible", message: words(0, 3000) },
      { condition: "PodResizePending", reason: "Deferred", message: words(1500, 1000) },
    ],
  );
});

test("needsRestart asks the policy of what changes alone", () => {
  const resizePolicy = [{ resourceName: "memory", restartPolicy: "RestartContainer" }];
  const container = (resources: ResourceRequirements): Container => ({ name: "a", resizePolicy, resources });
  assert.deepEqual(
    [
      needsRestart(container(cpu("2")), cpu("1")),
      needsRestart(container({ limits: { memory: "2Gi" } }), { limits: { memory: "1Gi" } }),
    ],
    [false, true],
  );
});

test("withResize says what containers have, and what is pending until it is not", () => {
  const resize = { condition: "PodResizePending", reason: "Deferred", message: "later" } as const;
  const status = {
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: [{ name: "a", image: "", imageID: "", ready: true, restartCount: 0 }],
  };
  const actual = new Map([["a", cpu("1")]]);
  const pending = withResize(status, { actual, resize, nowMs: 0 });
  const done = withResize(pending, { actual, resize: undefined, nowMs: 5000 });
  assert.deepEqual(
    [
      pending.containerStatuses?.map(({ resources, allocatedResources }) => [resources, allocatedResources]),
      pending.conditions?.map(({ type, reason, lastTransitionTime }) => [type, reason, lastTransitionTime]),
      done.conditions?.map(({ type }) => type),
    ],
    [
      [[cpu("1"), { cpu: "1" }]],
      [
        ["Ready", undefined, undefined],
        ["PodResizePending", "Deferred", "1970-01-01T00:00:00Z"],
      ],
      ["Ready"],
    ],
  );
});
