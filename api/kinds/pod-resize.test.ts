import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, ResourceRequirements } from "./generated/types.ts";
import { resizePart } from "./pod-resize.ts";

function podOf(resources: ResourceRequirements, more: Partial<Container> = {}): Pod {
  return { metadata: { name: "p" }, spec: { containers: [{ name: "a", image: "a:1", resources, ...more }] } };
}

const live = podOf({ requests: { cpu: "1", memory: "1Gi" }, limits: { memory: "2Gi" } });

test("resizePart.prepare takes resources and nothing else", () => {
  const { spec } = resizePart.prepare(podOf({ requests: { cpu: "2" } }, { image: "evil:1" }), live);
  assert.deepEqual(
    spec?.containers.map(({ image, resources }) => [image, resources]),
    [["a:1", { requests: { cpu: "2" } }]],
  );
});

test("resizePart.validate judges what changes", () => {
  const judged = (resources: ResourceRequirements) =>
    resizePart.validate(podOf(resources), live).map(({ field, message }) => `${field}: ${message}`);
  const path = "spec.containers[0].resources";
  assert.deepEqual(
    [
      judged({ requests: { cpu: "2", memory: "1Gi" }, limits: { memory: "3Gi" } }),
      judged({ requests: { cpu: "1", memory: "1Gi" } }),
      judged({ requests: { cpu: "1", memory: "4Gi" }, limits: { memory: "2Gi" } }),
      judged({ requests: { cpu: "1", memory: "1Gi", "ephemeral-storage": "1" }, limits: { memory: "2Gi" } }),
      judged({ requests: { cpu: "1", memory: "1Gi" }, limits: { cpu: "1", memory: "1Gi" } }),
    ],
    [
      [],
      [`${path}.limits: Forbidden: resource limits cannot be removed`],
      [`${path}.requests: Invalid value: "4Gi": must be less than or equal to memory limit of 2Gi`],
      [`${path}.requests: Forbidden: only cpu and memory resources are mutable`],
      ['spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing'],
    ],
  );
});
