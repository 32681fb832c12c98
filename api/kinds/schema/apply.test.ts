// Server-side apply: ownership, conflicts, and what goes when it is applied no more.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ApiError } from "../status.ts";
import { applyServerSide, trackUpdate } from "./apply.ts";
import { isObject, type JsonObject } from "./schema.ts";

const typeName = "io.k8s.api.apps.v1.Deployment";
const writer = (manager: string, second = 0) => ({ manager, apiVersion: "apps/v1", nowMs: second * 1000 });

function apply(live: JsonObject | undefined, manager: string, spec: JsonObject, force = false): JsonObject {
  const applied = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" }, spec };
  return applyServerSide({ typeName, live, applied, writer: writer(manager), force });
}

function specOf(object: JsonObject): unknown {
  return object["spec"];
}

function managed(object: JsonObject): unknown {
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  return metadata["managedFields"];
}

const containers = (...list: readonly JsonObject[]) => ({ template: { spec: { containers: list } } });

test("applyServerSide creates an object and notes who owns its fields", () => {
  const object = apply(undefined, "kubectl", { replicas: 2, ...containers({ name: "a", image: "a:1" }) });
  assert.deepEqual(object, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "web",
      managedFields: [
        {
          manager: "kubectl",
          operation: "Apply",
          apiVersion: "apps/v1",
          time: "1970-01-01T00:00:00Z",
          fieldsType: "FieldsV1",
          fieldsV1: {
            "f:spec": {
              "f:replicas": {},
              "f:template": {
                "f:spec": { "f:containers": { 'k:{"name":"a"}': { ".": {}, "f:image": {}, "f:name": {} } } },
              },
            },
          },
        },
      ],
    },
    spec: { replicas: 2, template: { spec: { containers: [{ name: "a", image: "a:1" }] } } },
  });
});

test("applyServerSide takes away what is applied no more, with all its parts", () => {
  const first = apply(undefined, "kubectl", {
    replicas: 2,
    strategy: { rollingUpdate: { maxSurge: 1 } },
    ...containers({ name: "a", image: "a" }, { name: "b", image: "b" }),
  });
  const defaulted = {
    ...first,
    spec: {
      ...(first["spec"] as JsonObject),
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
    },
  };
  const second = apply(defaulted, "kubectl", containers({ name: "b", image: "b" }));
  assert.deepEqual(specOf(second), containers({ name: "b", image: "b" }));
});

test("applyServerSide leaves to others what is theirs", () => {
  const first = apply(undefined, "one", { replicas: 2, ...containers({ name: "a", image: "a" }) });
  const second = apply(first, "two", containers({ name: "a", image: "a" }, { name: "side", image: "s" }));
  const third = apply(second, "one", { replicas: 2 });
  assert.deepEqual(specOf(third), {
    replicas: 2,
    ...containers({ name: "a", image: "a" }, { name: "side", image: "s" }),
  });
});

test("applyServerSide keeps the key of an element of which another manager owns a part", () => {
  const first = apply(undefined, "one", containers({ name: "a", image: "a" }));
  const scaled = { ...first, spec: containers({ name: "a", image: "a:2" }) };
  const second = trackUpdate({ typeName, live: first, object: scaled, writer: writer("two") });
  assert.deepEqual(specOf(apply(second, "one", { paused: true })), {
    ...containers({ name: "a", image: "a:2" }),
    paused: true,
  });
});

test("applyServerSide refuses a field that another manager has set to another value", () => {
  const first = apply(undefined, "one", { replicas: 2, ...containers({ name: "a", image: "a:1" }) });
  assert.throws(
    () => apply(first, "two", { replicas: 3, ...containers({ name: "a", image: "a:2" }) }),
    (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual(error.details?.causes, [
        { reason: "FieldManagerConflict", message: 'conflict with "one" using apps/v1', field: ".spec.replicas" },
        {
          reason: "FieldManagerConflict",
          message: 'conflict with "one" using apps/v1',
          field: '.spec.template.spec.containers[name="a"].image',
        },
      ]);
      return error.reason === "Conflict";
    },
  );
});

test("applyServerSide with force takes the field over", () => {
  const first = apply(undefined, "one", { replicas: 2, paused: true });
  const second = apply(first, "two", { replicas: 3 }, true);
  assert.deepEqual(specOf(second), { replicas: 3, paused: true });
  assert.deepEqual(specOf(apply(second, "one", { paused: true })), { replicas: 3, paused: true });
  assert.throws(() => apply(second, "one", { replicas: 4, paused: true }), {
    message: 'Apply failed with 1 conflict: conflict with "two" using apps/v1: .spec.replicas',
  });
});

test("applyServerSide shares a field that both set to the same value", () => {
  const both = apply(apply(undefined, "one", { replicas: 2 }), "two", { replicas: 2 });
  assert.deepEqual(specOf(apply(both, "one", {})), { replicas: 2 });
});

test("applyServerSide meets an object that was never applied", () => {
  const live = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web" },
    spec: { replicas: 2 },
    status: { replicas: 2 },
  };
  assert.throws(() => apply(live, "one", { replicas: 3 }), {
    message: 'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas',
  });
  const applied = apply(live, "one", { paused: true });
  assert.deepEqual([applied["spec"], applied["status"]], [{ replicas: 2, paused: true }, { replicas: 2 }]);
});

test("applyServerSide takes over from kubectl what kubectl applied by itself before, and nothing else", () => {
  const noted = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" } };
  const note = (text: string) => ({ "kubectl.kubernetes.io/last-applied-configuration": text });
  const live = (text: string) => ({
    ...noted,
    metadata: { name: "web", annotations: note(text) },
    spec: { replicas: 2, paused: true, minReadySeconds: 1 },
  });
  const web = live(JSON.stringify({ ...noted, spec: { replicas: 2, minReadySeconds: 7 } }));
  assert.deepEqual(specOf(apply(web, "kubectl", { replicas: 3 })), { replicas: 3, paused: true, minReadySeconds: 1 });
  const refusal = (field: string) => ({
    message: `Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: ${field}`,
  });
  assert.throws(() => apply(web, "other", { replicas: 3 }), refusal(".spec.replicas"));
  // Scaled, or paused, by somebody since.
  assert.throws(() => apply(web, "kubectl", { minReadySeconds: 9, replicas: 3 }), refusal(".spec.minReadySeconds"));
  assert.throws(() => apply(web, "kubectl", { paused: false }), refusal(".spec.paused"));
  for (const broken of ["{", "7", "null"])
    assert.throws(() => apply(live(broken), "kubectl", { replicas: 3 }), refusal(".spec.replicas"));
});

test("applyServerSide refuses managedFields", () => {
  const applied = { metadata: { name: "web", managedFields: [{ manager: "x" }] } };
  assert.throws(() => applyServerSide({ typeName, live: undefined, applied, writer: writer("one"), force: false }), {
    message: "metadata.managedFields must be nil",
  });
});

test("trackUpdate gives a writer what it changed", () => {
  const live = apply(undefined, "one", { replicas: 2, paused: true });
  const object = { ...live, spec: { replicas: 5 } };
  const tracked = trackUpdate({ typeName, live, object, writer: writer("scaler", 60) });
  assert.deepEqual(managed(tracked), [
    {
      manager: "scaler",
      operation: "Update",
      apiVersion: "apps/v1",
      time: "1970-01-01T00:01:00Z",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:spec": { "f:replicas": {} } },
    },
  ]);
});

test("trackUpdate keeps no account of objects that were never applied", () => {
  const live = { metadata: { name: "a" }, spec: { replicas: 1 } };
  assert.deepEqual(trackUpdate({ typeName, live, object: { ...live, spec: { replicas: 2 } }, writer: writer("x") }), {
    metadata: { name: "a" },
    spec: { replicas: 2 },
  });
});

test("applyServerSide a second time changes nothing", () => {
  const spec = fc.record(
    {
      replicas: fc.nat(9),
      template: fc.record({
        spec: fc.record({
          containers: fc.uniqueArray(fc.record({ name: fc.constantFrom("a", "b", "c"), image: fc.string() }), {
            selector: (c) => c.name,
          }),
        }),
      }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(spec, spec, (one, two) => {
      const live = apply(apply(undefined, "one", one), "two", two, true);
      // Through JSON: fast-check's records have no prototype.
      assert.equal(JSON.stringify(apply(live, "two", two)), JSON.stringify(live));
    }),
  );
});
