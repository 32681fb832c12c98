// Which container of a pod is meant.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../api/kinds/generated/types.ts";
import { containerOf } from "./pods.ts";

const annotation = { "kubectl.kubernetes.io/default-container": "two" };
const pod = (names: readonly string[], annotations = {}): Pod => ({
  metadata: { annotations },
  spec: { containers: names.map((name) => ({ name })) },
});

test("containerOf takes the one that is named, the only one, the annotated one or the first, and tells what it chose", () => {
  const told: string[] = [];
  const taken = (one: Pod, named?: string) => containerOf(one, named, (text) => told.push(text));
  assert.deepEqual(
    [
      taken(pod(["one", "two"]), "two"),
      taken(pod(["one"])),
      taken(pod(["one", "two"])),
      taken(pod(["one", "two"], annotation)),
    ],
    ["two", undefined, "one", "two"],
  );
  assert.deepEqual(told, [
    "Taking container one of one, two; -c takes another.",
    "Taking container two of one, two; -c takes another.",
  ]);
});
