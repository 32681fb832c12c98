// The three kinds of patch.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ApiError } from "../status.ts";
import { applyPatch } from "./patch.ts";
import { isObject, type JsonObject } from "./schema.ts";

const pod = "io.k8s.api.core.v1.Pod";
const deployment = "io.k8s.api.apps.v1.Deployment";

interface Case {
  readonly name: string;
  readonly type?: string;
  readonly object: JsonObject;
  readonly patch: unknown;
  readonly result: JsonObject | string;
}

function run(kind: "merge" | "json" | "strategic", cases: readonly Case[]): void {
  for (const { name, type, object, patch, result } of cases) {
    test(`applyPatch ${kind} ${name}`, () => {
      const before = structuredClone(object);
      const outcome = () => applyPatch(kind, type ?? pod, object, patch);
      if (typeof result === "string")
        assert.throws(outcome, (e) => e instanceof ApiError && assert.equal(e.message, result) === undefined);
      else assert.deepEqual(outcome(), result);
      assert.deepEqual(object, before, "the object it was given is as it was");
    });
  }
}

run("merge", [
  {
    name: "sets, replaces and removes",
    object: { a: 1, b: { c: 2, d: 3 }, e: [1] },
    patch: { b: { c: null, x: 1 }, e: [2] },
    result: { a: 1, b: { d: 3, x: 1 }, e: [2] },
  },
  { name: "drops nulls in what is new", object: {}, patch: { a: { b: null, c: 1 } }, result: { a: { c: 1 } } },
  { name: "refuses a list", object: {}, patch: [], result: "the patch must be a JSON object" },
]);

run("json", [
  {
    name: "performs every operation",
    object: { a: [1, 2], b: { c: 1 } },
    patch: [
      { op: "test", path: "/a/0", value: 1 },
      { op: "add", path: "/a/-", value: 3 },
      { op: "add", path: "/a/0", value: 0 },
      { op: "replace", path: "/b/c", value: 2 },
      { op: "copy", from: "/b", path: "/d" },
      { op: "move", from: "/b/c", path: "/x~1y~0" },
      { op: "remove", path: "/a/1" },
    ],
    result: { a: [0, 2, 3], b: {}, d: { c: 2 }, "x/y~": 2 },
  },
  {
    name: "fails a test",
    object: { a: 1 },
    patch: [{ op: "test", path: "/a", value: 2 }],
    result: 'JSON patch operation 0 (test "/a"): the value there is another',
  },
  {
    name: "misses a path",
    object: {},
    patch: [{ op: "remove", path: "/a/b" }],
    result: 'JSON patch operation 0 (remove "/a/b"): nothing is there',
  },
  {
    name: "misses an index",
    object: { a: [] },
    patch: [{ op: "add", path: "/a/1", value: 1 }],
    result: 'JSON patch operation 0 (add "/a/1"): "1" is no index of it',
  },
  {
    name: "cannot replace what is not there",
    object: {},
    patch: [{ op: "replace", path: "/a", value: 1 }],
    result: 'JSON patch operation 0 (replace "/a"): nothing is there',
  },
  {
    name: "refuses an unknown operation",
    object: {},
    patch: [{ op: "merge", path: "" }],
    result: 'JSON patch operation 0: op must be add, remove, replace, move, copy or test, got "merge"',
  },
  {
    name: "replaces the whole document",
    object: { a: 1 },
    patch: [{ op: "replace", path: "", value: { b: 1 } }],
    result: { b: 1 },
  },
  {
    name: "must leave an object",
    object: { a: 1 },
    patch: [{ op: "replace", path: "", value: 1 }],
    result: "the patch leaves no object",
  },
  {
    name: "cannot move into itself",
    object: { a: {} },
    patch: [{ op: "move", from: "/a", path: "/a/b" }],
    result: 'JSON patch operation 0 (move "/a" to "/a/b"): cannot move a value into itself',
  },
]);

const containers = (...list: readonly JsonObject[]) => ({ spec: { containers: list } });

run("strategic", [
  {
    name: "merges a list by its key, new elements last",
    object: containers({ name: "a", image: "a:1", args: ["x"] }, { name: "b", image: "b:1" }),
    patch: containers({ name: "b", image: "b:2" }, { name: "c", image: "c:1" }),
    result: containers(
      { name: "a", image: "a:1", args: ["x"] },
      { name: "b", image: "b:2" },
      { name: "c", image: "c:1" },
    ),
  },
  {
    name: "replaces lists without a merge strategy",
    object: containers({ name: "a", args: ["x", "y"] }),
    patch: containers({ name: "a", args: ["z"] }),
    result: containers({ name: "a", args: ["z"] }),
  },
  {
    name: "merges lists inside of lists",
    object: containers({
      name: "a",
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
    }),
    patch: containers({ name: "a", env: [{ name: "B", value: null, valueFrom: { fieldRef: { fieldPath: "x" } } }] }),
    result: containers({
      name: "a",
      env: [
        { name: "A", value: "1" },
        { name: "B", valueFrom: { fieldRef: { fieldPath: "x" } } },
      ],
    }),
  },
  {
    name: "deletes an element by $patch",
    object: containers({ name: "a" }, { name: "b" }),
    patch: containers({ name: "a", $patch: "delete" }),
    result: containers({ name: "b" }),
  },
  {
    name: "replaces a whole list by $patch",
    object: containers({ name: "a" }, { name: "b" }),
    patch: containers({ name: "c" }, { $patch: "replace" }),
    result: containers({ name: "c" }),
  },
  {
    name: "replaces a map by $patch",
    object: { metadata: { labels: { a: "1" }, name: "x" } },
    patch: { metadata: { labels: { $patch: "replace", b: "2" } } },
    result: { metadata: { labels: { b: "2" }, name: "x" } },
  },
  {
    name: "empties a map by $patch",
    object: { spec: { securityContext: { runAsUser: 1 } } },
    patch: { spec: { securityContext: { $patch: "delete" } } },
    result: { spec: { securityContext: {} } },
  },
  {
    name: "orders by $setElementOrder, others where they were",
    object: containers({ name: "a" }, { name: "server" }, { name: "b" }, { name: "c" }),
    patch: {
      spec: {
        "$setElementOrder/containers": [{ name: "c" }, { name: "b" }, { name: "a" }, { name: "n" }],
        containers: [{ name: "n", image: "n" }],
      },
    },
    result: containers({ name: "server" }, { name: "c" }, { name: "b" }, { name: "a" }, { name: "n", image: "n" }),
  },
  {
    name: "orders without any other change",
    object: containers({ name: "a" }, { name: "b" }),
    patch: { spec: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] } },
    result: containers({ name: "b" }, { name: "a" }),
  },
  {
    name: "merges plain lists as sets, and deletes from them",
    object: { metadata: { finalizers: ["a", "b"] } },
    patch: { metadata: { finalizers: ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"] } },
    result: { metadata: { finalizers: ["b", "c"] } },
  },
  {
    name: "deletes from a plain list only",
    object: { metadata: { finalizers: ["a", "b"] } },
    patch: { metadata: { "$deleteFromPrimitiveList/finalizers": ["b"] } },
    result: { metadata: { finalizers: ["a"] } },
  },
  {
    name: "keeps only $retainKeys",
    type: deployment,
    object: { spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } },
    patch: { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } },
    result: { spec: { strategy: { type: "Recreate" } } },
  },
  {
    name: "changes the source of a volume by $retainKeys",
    object: {
      spec: {
        volumes: [
          { name: "v", emptyDir: {} },
          { name: "w", emptyDir: {} },
        ],
      },
    },
    patch: { spec: { volumes: [{ name: "v", $retainKeys: ["name", "configMap"], configMap: { name: "c" } }] } },
    result: {
      spec: {
        volumes: [
          { name: "v", configMap: { name: "c" } },
          { name: "w", emptyDir: {} },
        ],
      },
    },
  },
  {
    name: "removes by null",
    object: { spec: { nodeName: "a", hostname: "b" } },
    patch: { spec: { nodeName: null } },
    result: { spec: { hostname: "b" } },
  },
  {
    name: "leaves no directive in what is new",
    object: {},
    patch: { spec: { containers: [{ name: "a", env: [{ name: "x", $patch: "delete" }] }] } },
    result: containers({ name: "a", env: [] }),
  },
  {
    name: "refuses an unknown directive",
    object: {},
    patch: { $patch: "burn" },
    result: 'strategic merge patch: $patch must be replace, delete or merge, got "burn"',
  },
  {
    name: "refuses an element without its key",
    object: {},
    patch: containers({ image: "x" }),
    result: 'strategic merge patch: containers: every element needs its key "name"',
  },
  {
    name: "refuses $retainKeys that forget a field",
    object: {},
    patch: { spec: { $retainKeys: ["a"], b: 1 } },
    result: 'strategic merge patch: $retainKeys must name "b", which the patch sets',
  },
]);

const json = fc.dictionary(fc.constantFrom("a", "b", "__proto__", "c"), fc.jsonValue({ maxDepth: 3 }), {
  noNullPrototype: true,
});

test("applyPatch merge is idempotent and never pollutes a prototype", () => {
  fc.assert(
    fc.property(json, json, (object, patch) => {
      const once = applyPatch("merge", pod, object, patch);
      assert.deepEqual(applyPatch("merge", pod, once, patch), once);
      assert.equal(Object.getPrototypeOf(once), Object.prototype);
    }),
  );
});

test("applyPatch strategic with distinct keys is idempotent", () => {
  const list = fc.uniqueArray(fc.record({ name: fc.constantFrom("a", "b", "c", "d"), image: fc.string() }), {
    selector: (c) => c.name,
  });
  fc.assert(
    fc.property(list, list, (live, patch) => {
      const once = applyPatch("strategic", pod, containers(...live), containers(...patch));
      assert.deepEqual(applyPatch("strategic", pod, once, containers(...patch)), once);
      const names = (o: JsonObject) =>
        isObject(o["spec"]) && Array.isArray(o["spec"]["containers"])
          ? o["spec"]["containers"].map((c) => c.name).toSorted()
          : [];
      assert.deepEqual(names(once), [...new Set([...live, ...patch].map((c) => c.name))].toSorted());
    }),
  );
});

test("applyPatch json undoes an addition by removing it", () => {
  fc.assert(
    fc.property(json, fc.string(), fc.jsonValue(), (object, name, value) => {
      if (Object.hasOwn(object, name)) return;
      const path = `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      const patch = [
        { op: "add", path, value },
        { op: "test", path, value },
        { op: "remove", path },
      ];
      assert.deepEqual(applyPatch("json", pod, object, patch), object);
    }),
  );
});

test("applyPatch refuses a body that is too deep", () => {
  const deep = JSON.parse(`${'{"a":'.repeat(300)}1${"}".repeat(300)}`);
  assert.throws(() => applyPatch("merge", pod, {}, deep), { message: "a patch may be 200 levels deep" });
});

test("applyPatch changes neither the object nor the patch, so that it can be tried again", () => {
  const object = { data: { list: [1], kept: { a: 1 } } };
  const patch = [
    { op: "add", path: "/data/new", value: { b: [] } },
    { op: "copy", from: "/data/new", path: "/data/copied" },
    { op: "add", path: "/data/new/b/-", value: 1 },
    { op: "move", from: "/data/list", path: "/data/moved" },
    { op: "replace", path: "/data/kept/a", value: 2 },
    { op: "remove", path: "/data/moved/0" },
  ];
  const before = structuredClone({ object, patch });
  const expected = { data: { kept: { a: 2 }, new: { b: [1] }, copied: { b: [] }, moved: [] } };
  assert.deepEqual(
    [applyPatch("json", pod, object, patch), applyPatch("json", pod, object, patch)],
    [expected, expected],
  );
  assert.deepEqual({ object, patch }, before);
});

test("applyPatch takes many operations on what is large", () => {
  const data = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, "v"]));
  const patch = Array.from({ length: 10_000 }, (_, i) => ({ op: "add", path: `/data/n${i}`, value: "" }));
  const patched = applyPatch("json", pod, { data }, patch) as { readonly data: object };
  assert.equal(Object.keys(patched.data).length, 30_000);
});
