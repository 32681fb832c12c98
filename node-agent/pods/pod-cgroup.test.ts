import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec, ResourceRequirements } from "../../api/kinds/generated/types.ts";
import { groupShares, podCgroup } from "./pod-cgroup.ts";

function pod(uid: string, resources: ResourceRequirements, spec: Partial<PodSpec> = {}): Pod {
  return { metadata: { uid }, spec: { containers: [{ name: "main", resources }], ...spec } };
}

const guaranteed = pod("a", { limits: { cpu: "1", memory: "1Gi" } });
const burstable = pod("b", { requests: { cpu: "500m" } });
const bestEffort = pod("c", {});
const asOne = pod("d", {}, { resources: { limits: { cpu: "2", memory: "1Gi" } } });

test("podCgroup puts guaranteed pods at the top and the others below their class", () => {
  assert.deepEqual([guaranteed, burstable, bestEffort, asOne].map(podCgroup), [
    "poda",
    "burstable/podb",
    "besteffort/podc",
    "podd",
  ]);
});

test("groupShares weighs burstable pods by what they ask for together, and the others least", () => {
  assert.deepEqual(
    [groupShares([]), groupShares([guaranteed, burstable, bestEffort, pod("e", { requests: { cpu: "1500m" } })])],
    [
      { burstable: 2, besteffort: 2 },
      { burstable: 2048, besteffort: 2 },
    ],
  );
});
