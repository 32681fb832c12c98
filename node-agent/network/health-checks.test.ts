import assert from "node:assert/strict";
import { it } from "node:test";
import type { Service } from "../../api/kinds/generated/types.ts";
import { planHealthChecks } from "./health-checks.ts";

const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 30001 };
const entry = (name: string, more: Service["spec"] = {}) => ({
  key: `shop/${name}`,
  service: { metadata: { namespace: "shop", name }, spec: { ...spec, ...more } },
  slices: [
    {
      addressType: "IPv4",
      endpoints: [
        { addresses: ["10.244.1.5"], nodeName: "n1", conditions: { ready: true } },
        { addresses: ["10.244.1.6"], nodeName: "n1", conditions: { ready: false } },
        { addresses: ["10.244.2.5"], nodeName: "n2" },
      ],
    },
  ],
});

it("counts a node's ready endpoints for each balancer that wants to know, the first of a port: planHealthChecks", () => {
  const entries = [
    entry("web"),
    entry("same-port"),
    entry("cluster", { externalTrafficPolicy: "Cluster", healthCheckNodePort: 30002 }),
    entry("node-port", { type: "NodePort", healthCheckNodePort: 30003 }),
  ];
  const on = (node: string) => [...planHealthChecks(entries, node).values()];
  const web = { port: 30001, namespace: "shop", name: "web" };
  assert.deepEqual([on("n1"), on("n3")], [[{ ...web, localEndpoints: 1 }], [{ ...web, localEndpoints: 0 }]]);
});
