// What `kubectl get` shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerState, ContainerStatus, Node, Pod, PodSpec, PodStatus, Service } from "./generated/types.ts";
import { kinds } from "./list.ts";
import { nodeKind } from "./node.ts";
import { podKind } from "./pod.ts";
import { summarize } from "./pod-columns.ts";
import { tableOf } from "./schema/table.ts";
import { serviceKind } from "./service.ts";

const status = (name: string, state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name,
  state,
  ready: state.running !== undefined,
  restartCount: 0,
  image: "",
  imageID: "",
  ...more,
});
const running: ContainerState = { running: {} };
const waiting = (reason: string): ContainerState => ({ waiting: { reason } });
const ended = (exitCode: number, reason?: string): ContainerState => ({
  terminated: { exitCode, ...(reason === undefined ? {} : { reason }) },
});
const pod = (of: PodStatus, spec: Partial<PodSpec> = {}, deleted = false): Pod => ({
  metadata: { name: "a", ...(deleted ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
  spec: { containers: [{ name: "a" }], ...spec },
  status: of,
});
const init = { initContainers: [{ name: "i" }, { name: "j" }] };

const pods: readonly (readonly [string, Pod, string])[] = [
  ["a pending pod", pod({ phase: "Pending" }), "Pending 0/1"],
  ["a running pod", pod({ phase: "Running", containerStatuses: [status("a", running)] }), "Running 1/1"],
  [
    "a pod that is deleted",
    pod({ phase: "Running", containerStatuses: [status("a", running)] }, {}, true),
    "Terminating 1/1",
  ],
  [
    "a finished pod that is deleted",
    pod({ phase: "Succeeded", containerStatuses: [status("a", ended(0, "Completed"))] }, {}, true),
    "Completed 0/1",
  ],
  ["a pod on a lost node", pod({ phase: "Running", reason: "NodeLost" }, {}, true), "Unknown 0/1"],
  [
    "a crashing container",
    pod({ phase: "Running", containerStatuses: [status("a", waiting("CrashLoopBackOff"))] }),
    "CrashLoopBackOff 0/1",
  ],
  [
    "an image that is not there",
    pod({ phase: "Pending", containerStatuses: [status("a", waiting("ErrImagePull"))] }),
    "ErrImagePull 0/1",
  ],
  [
    "a container out of memory",
    pod({ phase: "Running", containerStatuses: [status("a", ended(137, "OOMKilled"))] }),
    "OOMKilled 0/1",
  ],
  ["an end without a reason", pod({ phase: "Failed", containerStatuses: [status("a", ended(3))] }), "ExitCode:3 0/1"],
  [
    "one of two that has completed",
    pod(
      {
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [status("a", ended(0, "Completed")), status("b", running)],
      },
      { containers: [{ name: "a" }, { name: "b" }] },
    ),
    "Running 1/2",
  ],
  [
    "the first init container",
    pod(
      { phase: "Pending", initContainerStatuses: [status("i", running), status("j", waiting("PodInitializing"))] },
      init,
    ),
    "Init:0/2 0/1",
  ],
  [
    "the second init container",
    pod({ phase: "Pending", initContainerStatuses: [status("i", ended(0, "Completed")), status("j", running)] }, init),
    "Init:1/2 0/1",
  ],
  [
    "an init container that failed",
    pod({ phase: "Pending", initContainerStatuses: [status("i", ended(1, "Error"))] }, init),
    "Init:Error 0/1",
  ],
  ["an evicted pod", pod({ phase: "Failed", reason: "Evicted" }), "Evicted 0/1"],
];
for (const [name, object, expected] of pods) {
  test(`summarize tells of ${name}`, () => {
    const { status: text, ready, total } = summarize(object);
    assert.equal(`${text} ${ready}/${total}`, expected);
  });
}

test("podKind.columns show a pod, wide too", () => {
  const object: Pod = {
    metadata: { name: "a", creationTimestamp: "1970-01-01T00:00:00Z" },
    spec: { nodeName: "n1", containers: [{ name: "a" }] },
    status: {
      phase: "Running",
      podIP: "10.0.0.2",
      containerStatuses: [
        status("a", running, {
          restartCount: 3,
          lastState: { terminated: { exitCode: 1, finishedAt: "1970-01-01T00:01:00Z" } },
        }),
      ],
    },
  };
  const table = tableOf(podKind, [object], { nowMs: 363_000, includeObject: "None" });
  assert.deepEqual(table["rows"], [
    { cells: ["a", "1/1", "Running", "3 (5m3s ago)", "6m3s", "10.0.0.2", "n1", "<none>", "<none>"] },
  ]);
});

test("nodeKind.columns show roles, addresses and whether it takes pods", () => {
  const node: Node = {
    metadata: {
      name: "n1",
      labels: { "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "" },
    },
    spec: { unschedulable: true },
    status: {
      conditions: [{ type: "Ready", status: "True" }],
      addresses: [{ type: "InternalIP", address: "10.0.0.1" }],
    },
  };
  const cells = nodeKind.columns.map((column) => column.cell(node, 0));
  assert.deepEqual(cells, [
    "n1",
    "Ready,SchedulingDisabled",
    "control-plane,worker",
    "<unknown>",
    "",
    "10.0.0.1",
    "<none>",
    "<unknown>",
    "<unknown>",
    "<unknown>",
  ]);
});

test("serviceKind.columns show addresses and ports", () => {
  const service: Service = {
    metadata: { name: "s" },
    spec: {
      type: "NodePort",
      clusterIP: "10.96.0.1",
      selector: { b: "2", a: "1" },
      ports: [
        { port: 80, nodePort: 30080, protocol: "TCP" },
        { port: 53, protocol: "UDP" },
      ],
    },
  };
  const cells = serviceKind.columns.map((column) => column.cell(service, 0));
  assert.deepEqual(cells, ["s", "NodePort", "10.96.0.1", "<none>", "80:30080/TCP,53/UDP", "<unknown>", "a=1,b=2"]);
});

test("tableOf carries the columns once and the objects as asked", () => {
  const object: Pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: { containers: [] } };
  const whole = tableOf(podKind, [object], { nowMs: 0, includeObject: "Object", metadata: { resourceVersion: "7" } });
  const event = tableOf(podKind, [object], { nowMs: 0, withoutColumns: true });
  const rowObject = (table: object) => (table as { rows: readonly { object: unknown }[] }).rows[0]?.object;
  assert.deepEqual(
    [
      whole["kind"],
      whole["apiVersion"],
      whole["metadata"],
      rowObject(whole),
      event["columnDefinitions"],
      rowObject(event),
    ],
    [
      "Table",
      "meta.k8s.io/v1",
      { resourceVersion: "7" },
      object,
      null,
      { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: { name: "a" } },
    ],
  );
});

test("every kind's columns print an object that has nothing but its name", () => {
  const bare = {
    metadata: { name: "a" },
    involvedObject: {},
    addressType: "IPv4",
    endpoints: [],
    spec: { containers: [], template: {} },
  };
  for (const kind of kinds) {
    const cells = kind.columns.map((column) => column.cell(bare, 0));
    assert.ok(cells.includes("a") && cells.every((cell) => cell !== undefined), kind.resource.kind);
  }
});
