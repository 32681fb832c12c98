// The classes of pods on a real kernel: who gets how much of the processor when it is short.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, ResourceRequirements } from "../../api/kinds/generated/types.ts";
import { until } from "../e2e/questions.ts";
import { NodeRig } from "./node-rig.ts";
import { readCgroup, unifiedCgroups } from "./rig.ts";

function podOf(name: string, resources: ResourceRequirements): Pod {
  const container = { name: "main", image: "naru.local/probe:1", imagePullPolicy: "Never", args: ["stubborn"] };
  return {
    metadata: { name, namespace: "default", uid: `uid-${name}` },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ ...container, resources }] },
  };
}

test("openAgent gives each class of pods its cgroup, and burstable ones together what they ask for", async () => {
  await using node = new NodeRig();
  await node.find((message) => message.is === "ready");
  const weight = (path: string) => readCgroup(node, path, ["cpu", "cpu.shares", "cpu.weight"]);
  const pods = [
    podOf("firm", { limits: { cpu: "250m", memory: "64Mi" } }),
    podOf("some", { requests: { cpu: "500m" } }),
    podOf("more", { requests: { cpu: "250m" } }),
    podOf("none", {}),
  ];
  for (const pod of pods) node.send({ do: "put", pod });
  for (const { metadata } of pods) await node.status(metadata?.name ?? "", ({ phase }) => phase === "Running");
  const expected = unifiedCgroups ? ["10", "30", "20", "1", "1"] : ["256", "768", "512", "2", "2"];
  const seen = () =>
    ["poduid-firm", "burstable", "burstable/poduid-some", "besteffort", "besteffort/poduid-none"].map(weight);
  await until("the classes weigh what their pods ask for", () =>
    JSON.stringify(seen()) === JSON.stringify(expected) ? true : undefined,
  );
  for (const pod of pods.slice(1, 3)) node.send({ do: "delete", pod });
  await node.find((message) => message.is === "gone" && message.name === "some");
  await node.find((message) => message.is === "gone" && message.name === "more");
  await until("a class without pods weighs next to nothing", () =>
    ["2", "1"].includes(weight("burstable")) ? true : undefined,
  );
  assert.throws(() => weight("burstable/poduid-some"), /ENOENT/);
});
