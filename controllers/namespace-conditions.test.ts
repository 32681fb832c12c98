import assert from "node:assert/strict";
import { test } from "node:test";
import { configmaps, deployments, pods } from "../api/kinds/generated/resources.ts";
import { remainingConditions } from "./namespace-conditions.ts";

const held = { metadata: { name: "a", finalizers: ["example.com/hold"] } };

test("remainingConditions counts what is left and what holds it, and keeps since when", () => {
  const first = remainingConditions(
    undefined,
    [
      { resource: pods, items: [{ metadata: { name: "p" } }, held] },
      { resource: configmaps, items: [] },
      { resource: deployments, items: [held] },
    ],
    1000,
  );
  const second = remainingConditions(first, [{ resource: pods, items: [{ metadata: { name: "p" } }] }], 9000);
  const told = [first, second].map((conditions) =>
    conditions.map(({ status, message, lastTransitionTime }) => `${status} ${lastTransitionTime} ${message}`),
  );
  assert.deepEqual(told, [
    [
      "True 1970-01-01T00:00:01Z Some resources are remaining: pods. has 2 resource instances, deployments.apps has 1 resource instances",
      "True 1970-01-01T00:00:01Z Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
    ],
    [
      "True 1970-01-01T00:00:01Z Some resources are remaining: pods. has 1 resource instances",
      "False 1970-01-01T00:00:09Z All content-preserving finalizers finished",
    ],
  ]);
});
