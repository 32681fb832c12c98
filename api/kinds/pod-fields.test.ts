// What pods must not say of resources, variables, files and signals, and what they are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodSpec, Volume } from "./generated/types.ts";
import { podKind } from "./pod.ts";

const pod = (spec: Partial<PodSpec>): Pod => ({
  metadata: { name: "a" },
  spec: { containers: [{ name: "a", image: "a" }], ...spec },
});
const container = (fields: Partial<Container>): Pod => pod({ containers: [{ name: "a", image: "a", ...fields }] });
const volume = (source: Omit<Volume, "name">): Pod => pod({ volumes: [{ name: "v", ...source }] });
const withFields = (...valueFrom: readonly NonNullable<NonNullable<Container["env"]>[number]["valueFrom"]>[]): Pod =>
  container({ env: valueFrom.map((from, i) => ({ name: `E${i}`, valueFrom: from })) });

const cases: readonly (readonly [string, Pod, readonly string[]])[] = [
  [
    "resources of every kind",
    container({
      resources: {
        limits: { cpu: "1", "hugepages-2Mi": "4Mi", "example.com/gpu": "2" },
        requests: { "hugepages-2Mi": "4Mi", "example.com/gpu": "2", "ephemeral-storage": "1Gi" },
      },
    }),
    [],
  ],
  [
    "resources that are none",
    container({ resources: { limits: { foo: "1", "kubernetes.io/bar": "1", "example.com/gpu": "1.5" } } }),
    [
      'resources.limits[foo]: Invalid value: "foo": must be a standard resource for containers',
      'resources.limits[kubernetes.io/bar]: Invalid value: "kubernetes.io/bar": must be a standard resource type or fully qualified',
      'resources.limits[example.com/gpu]: Invalid value: "1.5": must be an integer',
    ],
  ],
  [
    "more than one may be promised",
    container({
      resources: { limits: { "hugepages-2Mi": "4Mi" }, requests: { "hugepages-2Mi": "2Mi", "example.com/gpu": "1" } },
    }),
    [
      'resources.requests: Invalid value: "2Mi": must be equal to hugepages-2Mi limit of 4Mi',
      "resources.limits: Required value: Limit must be set for non overcommitable resources",
      "resources: Forbidden: HugePages require cpu or memory",
    ],
  ],
  [
    "a pod's own resources",
    pod({ resources: { limits: { cpu: "1", "ephemeral-storage": "1Gi" }, requests: { cpu: "2" } } }),
    [
      'spec.resources.limits[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-<size>", "memory"',
      'spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
  ],
  [
    "a resize policy",
    container({
      resizePolicy: [
        { resourceName: "cpu", restartPolicy: "NotRequired" },
        { resourceName: "cpu", restartPolicy: "Never" },
        { resourceName: "disk", restartPolicy: "RestartContainer" },
      ],
    }),
    [
      'resizePolicy[1].restartPolicy: Unsupported value: "Never": supported values: "NotRequired", "RestartContainer"',
      'resizePolicy[1]: Duplicate value: "cpu"',
      'resizePolicy[2].resourceName: Unsupported value: "disk": supported values: "cpu", "memory"',
    ],
  ],
  [
    "fields of variables",
    withFields(
      { fieldRef: { fieldPath: "metadata.labels['app.kubernetes.io/name']" } },
      { fieldRef: { fieldPath: "metadata.annotations['Example.com/Key']" } },
      { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } },
      { resourceFieldRef: { resource: "requests.memory", divisor: "1048576" } },
      { resourceFieldRef: { resource: "limits.hugepages-2Mi" } },
    ),
    [],
  ],
  [
    "fields of variables that are none",
    withFields(
      { fieldRef: { fieldPath: "metadata.labels['a b']" } },
      { resourceFieldRef: { resource: "limits.foo" } },
      { resourceFieldRef: { resource: "limits.cpu", divisor: "3" } },
      { configMapKeyRef: { name: "X_", key: "a b" } },
      { secretKeyRef: { name: "x", key: "" } },
    ),
    [
      'env[0].valueFrom.fieldRef.fieldPath: Invalid value: "a b"',
      'env[1].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.foo": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"',
      'env[2].valueFrom.resourceFieldRef.divisor: Unsupported value: "3": supported values: "1m", "1"',
      'env[3].valueFrom.configMapKeyRef.name: Invalid value: "X_"',
      'env[3].valueFrom.configMapKeyRef.key: Invalid value: "a b"',
      "env[4].valueFrom.secretKeyRef.key: Required value",
    ],
  ],
  [
    "environments of nothing",
    container({ envFrom: [{ prefix: "a=", configMapRef: { name: "" } }, { secretRef: { name: "A_" } }] }),
    [
      `envFrom[0].prefix: Invalid value: "a=": must be printable ASCII characters other than '='`,
      "envFrom[0].configMapRef.name: Required value",
      'envFrom[1].secretRef.name: Invalid value: "A_"',
    ],
  ],
  [
    "one file twice",
    volume({
      projected: {
        sources: [
          { configMap: { name: "a", items: [{ key: "a", path: "x" }] } },
          { serviceAccountToken: { path: "token" } },
          { secret: { name: "b", items: [{ key: "a", path: "x" }] } },
        ],
      },
    }),
    ['spec.volumes[0].projected.sources[2]: Invalid value: "x": conflicting duplicate paths'],
  ],
  [
    "files of the pod that are none",
    volume({
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "node", fieldRef: { fieldPath: "spec.nodeName" } },
          { path: "..cpu", resourceFieldRef: { resource: "limits.cpu" } },
        ],
      },
    }),
    [
      'downwardAPI.items[1].fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
      `downwardAPI.items[2].path: Invalid value: "..cpu": must not start with '..'`,
      "downwardAPI.items[2].resourceFieldRef.containerName: Required value",
    ],
  ],
  [
    "a claim without a name",
    volume({ persistentVolumeClaim: { claimName: "" } }),
    ["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
  ],
  ["a signal of the kernel's", container({ lifecycle: { stopSignal: "SIGRTMAX-3" } }), []],
  [
    "a signal of nobody's",
    container({ lifecycle: { stopSignal: "SIGFOO" } }),
    ['lifecycle.stopSignal: Invalid value: "SIGFOO": must be a signal, such as SIGTERM'],
  ],
];

for (const [what, object, expected] of cases) {
  test(`says of ${what} what is wrong validate`, () => {
    const errors = podKind.validate?.(object).map(({ field, message }) => `${field}: ${message}`);
    // What names may look like has a test of its own.
    const brief = errors?.map(
      (text) =>
        expected.find((line) => text.endsWith(line)) ?? expected.find((line) => text.includes(`${line}: `)) ?? text,
    );
    assert.deepEqual(brief, expected);
  });
}

test("a pod whose node is chosen waits for nothing validateCreate", () => {
  const gated = pod({ nodeName: "n", schedulingGates: [{ name: "a" }] });
  assert.deepEqual(
    podKind.validateCreate?.(gated)?.map(({ field, message }) => `${field}: ${message}`),
    ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
  );
});
