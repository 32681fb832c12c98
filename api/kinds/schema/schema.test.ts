// Validation, pruning and defaulting by schema.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { schemaDefaults } from "./defaults.ts";
import { duplicateFields } from "./json-text.ts";
import { prune } from "./prune.ts";
import { builtinSchemas, isObject } from "./schema.ts";
import { validateSchema } from "./validate.ts";

const pod = "io.k8s.api.core.v1.Pod";
const deployment = "io.k8s.api.apps.v1.Deployment";

function complaintsOf(typeName: string, value: unknown): readonly string[] {
  return validateSchema(typeName, value).map((e) => `${e.field}: ${e.type}: ${e.message}`);
}

const cases: readonly {
  readonly name: string;
  readonly type: string;
  readonly value: unknown;
  readonly errors: readonly string[];
}[] = [
  {
    name: "a minimal pod",
    type: pod,
    value: { metadata: { name: "a" }, spec: { containers: [{ name: "a", image: "b" }] } },
    errors: [],
  },
  {
    name: "a number where text belongs",
    type: pod,
    value: { spec: { containers: [{ name: "a", env: [{ name: "PORT", value: 8080 }] }] } },
    errors: ["spec.containers[0].env[0].value: type: Invalid value: 8080: must be a string, got an integer"],
  },
  {
    name: "missing required fields",
    type: deployment,
    value: { spec: { replicas: 1 } },
    errors: ["spec.selector: required: Required value", "spec.template: required: Required value"],
  },
  {
    name: "text where a number belongs",
    type: deployment,
    value: { spec: { replicas: "three", selector: {}, template: {} } },
    errors: ['spec.replicas: type: Invalid value: "three": must be an integer, got a string'],
  },
  {
    name: "a list where an object belongs, an object where a list does",
    type: pod,
    value: { metadata: [], spec: { containers: {} } },
    errors: [
      "metadata: type: Invalid value: []: must be an object, got an array",
      "spec.containers: type: Invalid value: {}: must be an array, got an object",
    ],
  },
  {
    name: "labels that are not text",
    type: pod,
    value: { metadata: { labels: { app: 1 } } },
    errors: ["metadata.labels[app]: type: Invalid value: 1: must be a string, got an integer"],
  },
  {
    name: "a quantity that is none",
    type: pod,
    value: { spec: { containers: [{ name: "a", resources: { limits: { memory: "64MB" } } }] } },
    errors: [
      'spec.containers[0].resources.limits[memory]: invalid: Invalid value: "64MB": must be a number, with a suffix or without, such as "0.5", "250m" or "64Mi"',
    ],
  },
  {
    name: "an integer of more than 32 bits, a fraction",
    type: deployment,
    value: { spec: { replicas: 3_000_000_000, minReadySeconds: 1.5, selector: {}, template: {} } },
    errors: [
      "spec.replicas: invalid: Invalid value: 3000000000: must fit into 32 bits",
      "spec.minReadySeconds: type: Invalid value: 1.5: must be an integer, got a number",
    ],
  },
  {
    name: "a wrong time, wrong base64",
    type: "io.k8s.api.core.v1.Secret",
    value: { metadata: { creationTimestamp: "yesterday" }, data: { a: "&&&" } },
    errors: [
      'metadata.creationTimestamp: invalid: Invalid value: "yesterday": must be an RFC 3339 time, such as 2026-01-31T12:00:00Z',
      'data[a]: invalid: Invalid value: "&&&": must be base64',
    ],
  },
  {
    name: "int-or-string",
    type: "io.k8s.api.core.v1.ServicePort",
    value: { port: 80, targetPort: "http" },
    errors: [],
  },
  {
    name: "nulls",
    type: pod,
    value: { metadata: { creationTimestamp: null }, spec: { containers: [], volumes: null } },
    errors: [],
  },
  { name: "parts of a status", type: "io.k8s.api.apps.v1.ReplicaSet", value: { status: {} }, errors: [] },
];
for (const { name, type, value, errors } of cases) {
  test(`validateSchema judges ${name}`, () => {
    assert.deepEqual(complaintsOf(type, value), errors);
  });
}

test("prune takes out what is unknown or null and names it", () => {
  const { object, unknown } = prune(pod, {
    metadata: { name: "a", labels: { any: "thing", gone: null }, creationTimestamp: null },
    spec: {
      foo: 1,
      containers: [{ name: "a", image: null, imagePullPolice: "x", resources: { limits: { cpu: 0.5 } } }],
    },
    constructor: {},
  });
  assert.deepEqual(
    { object, unknown },
    {
      object: {
        metadata: { name: "a", labels: { any: "thing", gone: "" } },
        spec: { containers: [{ name: "a", resources: { limits: { cpu: "500m" } } }] },
      },
      unknown: [
        'unknown field "spec.foo"',
        'unknown field "spec.containers[0].imagePullPolice"',
        'unknown field "constructor"',
      ],
    },
  );
});

test("prune keeps what has no type, and keys that have a meaning in JavaScript", () => {
  const data = JSON.parse(
    '{"data":{"__proto__":"x","constructor":"y"},"metadata":{"managedFields":[{"fieldsV1":{"f:data":{".":{}}}}]}}',
  );
  assert.equal(JSON.stringify(prune("io.k8s.api.core.v1.ConfigMap", data).object), JSON.stringify(data));
});

test("prune changes nothing the second time, and leaves nothing that validateSchema minds in what it did not mind before", () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(builtinSchemas)), fc.jsonValue({ maxDepth: 4 }), (type, value) => {
      if (!isObject(value)) return;
      const known = Object.keys(builtinSchemas[type]?.properties ?? {});
      const object = Object.fromEntries(Object.values(value).map((v, i) => [known[i % (known.length || 1)] ?? "x", v]));
      const once = prune(type, object).object;
      const twice = prune(type, once);
      assert.deepEqual(twice, { object: once, unknown: [] });
      if (validateSchema(type, object).length === 0) assert.deepEqual(validateSchema(type, once), []);
    }),
  );
});

test("schemaDefaults fills what is absent and shares what has no defaults", () => {
  const status = { phase: "Running" };
  const filled = schemaDefaults(pod, {
    spec: { containers: [{ name: "a", ports: [{ containerPort: 1 }, { containerPort: 2, protocol: "UDP" }] }] },
    status,
  });
  assert.deepEqual(filled, {
    spec: {
      containers: [
        {
          name: "a",
          ports: [
            { containerPort: 1, protocol: "TCP" },
            { containerPort: 2, protocol: "UDP" },
          ],
        },
      ],
    },
    status,
  });
  assert.equal(filled["status"], status);
});

test("duplicateFields names doubled fields by path", () => {
  const text = '{"a":1,"spec":{"x":[{"n":1},{"n":1,"\\u006e":2}],"x":"{\\"a\\":1,\\"a\\":2}"},"a":2}';
  assert.deepEqual(duplicateFields(text), [
    'duplicate field "spec.x[1].n"',
    'duplicate field "spec.x"',
    'duplicate field "a"',
  ]);
});

test("duplicateFields has nothing to say of what JSON.stringify prints", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => duplicateFields(JSON.stringify(value)).length === 0));
});
