// What of a node's static pods the API shows, and what a node may not do by that way.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "../kinds/generated/types.ts";
import { planMirrors } from "./mirror-pods.ts";

const mirror = (name: string, hash: string, spec: Partial<PodSpec> = {}): Pod => ({
  metadata: { name, namespace: "default", annotations: { "kubernetes.io/config.mirror": hash } },
  spec: { containers: [{ name: "c", image: "i" }], nodeName: "n1", ...spec },
});
const names = (pods: readonly Pod[]) => pods.map(({ metadata }) => metadata?.name);
const plan = (wanted: readonly Pod[], present: readonly Pod[]) => {
  const { create, remove, refused } = planMirrors("n1", "uid-1", wanted, present);
  return { create: names(create), remove: names(remove), refused: refused.map(({ why }) => why) };
};

test("planMirrors makes what lacks, replaces what changed, removes what went, and leaves other pods alone", () => {
  const { annotations: _, ...metadata } = mirror("web", "").metadata ?? {};
  const present = [mirror("same", "1"), mirror("changed", "1"), mirror("gone", "1"), { ...mirror("x", ""), metadata }];
  assert.deepEqual(plan([mirror("same", "1"), mirror("changed", "2"), mirror("new", "1")], present), {
    create: ["changed", "new"],
    remove: ["changed", "gone"],
    refused: [],
  });
});

test("planMirrors binds mirrors to their node and lets the node own them", () => {
  const [made] = planMirrors("n1", "uid-1", [mirror("web", "1", { nodeName: "n2" })], []).create;
  assert.deepEqual(
    [made?.spec?.nodeName, made?.metadata?.ownerReferences?.map(({ kind, name, uid }) => [kind, name, uid])],
    ["n1", [["Node", "n1", "uid-1"]]],
  );
});

test("planMirrors refuses what would give a node more than it has", () => {
  const env = [{ name: "A", valueFrom: { secretKeyRef: { name: "keys", key: "a" } } }];
  const wanted = [
    mirror("reads", "1", { containers: [{ name: "c", image: "i", env }] }),
    mirror("acts", "1", { serviceAccountName: "admin" }),
    { metadata: { name: "none" } },
  ];
  assert.deepEqual(plan(wanted, []), {
    create: [],
    remove: [],
    refused: [
      "a static pod may not name secrets/default/keys",
      "a static pod may not name the service account admin",
      "it is no mirror",
    ],
  });
});
