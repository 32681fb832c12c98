import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Pod } from "../kinds/generated/types.ts";
import { Desired } from "./desired.ts";

function podOf(name: string, node: string | undefined, names: readonly string[], version = 0): Pod {
  return {
    metadata: { namespace: "d", name, uid: name, resourceVersion: String(version) },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [{ name: "c", envFrom: names.map((name) => ({ configMapRef: { name } })) }],
    },
  };
}

test("Desired marks only what concerns a node", () => {
  const marks: string[] = [];
  const desired = new Desired((node, item) => marks.push(`${node} ${item}`));
  const after = (run: () => void) => {
    marks.length = 0;
    run();
    return [...marks];
  };
  desired.put("configmaps", { metadata: { namespace: "d", name: "x" } });
  assert.deepEqual(
    [
      after(() => desired.put("pods", podOf("unbound", undefined, ["x"]))),
      after(() => desired.put("pods", podOf("p", "a", ["x"]))),
      after(() => desired.put("pods", { ...podOf("p", "a", ["x"], 2), status: { phase: "Running" } } as Pod)),
      after(() => desired.put("pods", podOf("q", "a", ["x"]))),
      after(() => desired.put("configmaps", { metadata: { namespace: "d", name: "x", resourceVersion: "3" } })),
      after(() => desired.remove("pods", "d/p")),
      after(() => desired.put("pods", podOf("q", "b", ["x"]))),
      after(() => desired.put("services", { metadata: { namespace: "d", name: "s" } })),
      after(() => desired.put("nodes", { metadata: { name: "n" } })),
      after(() => desired.put("nodes", { metadata: { name: "n", annotations: { other: "1" }, resourceVersion: "9" } })),
    ],
    [
      [],
      ["a configmaps/d/x", "a pods/d/p"],
      [],
      ["a pods/d/q"],
      ["a configmaps/d/x"],
      ["a pods/d/p"],
      ["a configmaps/d/x", "a pods/d/q", "b configmaps/d/x", "b pods/d/q"],
      ["* services/d/s"],
      ["* nodes/n"],
      [],
    ],
  );
});

test("Desired wants the same whatever way it came there", () => {
  const change = fc.record({
    pod: fc.constantFrom("p", "q", "r"),
    node: fc.constantFrom("a", "b", undefined, "gone"),
    names: fc.subarray(["x", "y", "z"]),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const desired = new Desired(() => {});
      for (const name of ["x", "y", "z"]) desired.put("configmaps", { metadata: { namespace: "d", name } });
      const last = new Map<string, Pod>();
      for (const [version, { pod, node, names }] of changes.entries()) {
        if (node === "gone") {
          desired.remove("pods", `d/${pod}`);
          last.delete(pod);
        } else {
          const object = podOf(pod, node, names, version);
          // A pod is bound once: another node means another pod.
          desired.put("pods", object);
          last.set(pod, object);
        }
      }
      const fresh = new Desired(() => {});
      for (const name of ["x", "y", "z"]) fresh.put("configmaps", { metadata: { namespace: "d", name } });
      for (const pod of last.values()) fresh.put("pods", pod);
      for (const node of ["a", "b"]) {
        assert.deepEqual(desired.allOf(node).toSorted(), fresh.allOf(node).toSorted());
        for (const item of fresh.allOf(node)) assert.equal(desired.wanted(node, item) === undefined, false);
      }
    }),
  );
});
