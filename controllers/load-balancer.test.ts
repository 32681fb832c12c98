import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Service } from "../api/kinds/generated/types.ts";
import { planLoadBalancer } from "./load-balancer.ts";

function service(name: string, port: number, more: Partial<NonNullable<Service["spec"]>> = {}, second = 0): Service {
  return {
    metadata: { namespace: "default", name, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
    spec: { type: "LoadBalancer", ports: [{ port, protocol: "TCP" }], ...more },
  };
}

function node(address: string, ready: "True" | "False" = "True", labels: Readonly<Record<string, string>> = {}): Node {
  return {
    metadata: { name: address, labels },
    status: { addresses: [{ type: "InternalIP", address }], conditions: [{ type: "Ready", status: ready }] },
  };
}

const nodes = [
  node("10.0.0.2"),
  node("10.0.0.1"),
  node("10.0.0.3", "False"),
  node("10.0.0.4", "True", { "node.kubernetes.io/exclude-from-external-load-balancers": "" }),
];

const none = { services: [], nodes: [], slices: [] };

test("planLoadBalancer gives the addresses of nodes that are ready and not excluded", () => {
  assert.deepEqual(planLoadBalancer(service("web", 80), { ...none, nodes }), {
    type: "ingress",
    ingress: [
      { ip: "10.0.0.1", ipMode: "VIP" },
      { ip: "10.0.0.2", ipMode: "VIP" },
    ],
  });
});

test("planLoadBalancer gives nothing to other types and to other balancers' services", () => {
  const others = [
    service("a", 80, { type: "ClusterIP" }),
    service("b", 80, { loadBalancerClass: "example.com/theirs" }),
  ];
  assert.deepEqual(
    others.map((one) => planLoadBalancer(one, { ...none, nodes })),
    others.map(() => ({ type: "ingress", ingress: [] })),
  );
});

test("planLoadBalancer lets the oldest service have a port, whatever protocol others have", () => {
  const [older, newer] = [service("z", 80, {}, 1), service("a", 80, {}, 2)];
  const udp = service("u", 80, { ports: [{ port: 80, protocol: "UDP" }] }, 3);
  const all = [newer, older, udp];
  assert.deepEqual(
    all.map((one) => {
      const plan = planLoadBalancer(one, { ...none, services: all, nodes });
      return plan.type === "pending" ? plan.message : plan.ingress.length;
    }),
    ["port 80/TCP of the nodes belongs to service default/z: choose another", 2, 2],
  );
});

test("planLoadBalancer waits for a node", () => {
  assert.deepEqual(planLoadBalancer(service("web", 80), none), {
    type: "pending",
    message: "no node is ready to take its traffic",
  });
});

test("planLoadBalancer gives nodes with ready endpoints alone where traffic is to stay local, and the address that was asked for", () => {
  const endpoint = (nodeName: string, ready: boolean) => ({
    addresses: ["10.244.0.9"],
    nodeName,
    conditions: { ready },
  });
  const slices = [
    { addressType: "IPv4", endpoints: [endpoint("10.0.0.1", true), endpoint("10.0.0.2", false)] },
    { addressType: "IPv4", endpoints: [endpoint("10.0.0.3", true)] },
  ];
  const plan = (more: Partial<NonNullable<Service["spec"]>>, ofSlices = slices) => {
    const found = planLoadBalancer(service("web", 80, more), { ...none, nodes, slices: ofSlices });
    return found.type === "pending" ? found.message : found.ingress.map(({ ip }) => ip).join();
  };
  assert.deepEqual(
    [
      plan({ externalTrafficPolicy: "Local" }),
      plan({ externalTrafficPolicy: "Local" }, []),
      plan({ loadBalancerIP: "10.0.0.2" }),
      plan({ loadBalancerIP: "10.0.0.9" }),
    ],
    [
      "10.0.0.1",
      "no node that has a ready pod of it is ready to take its traffic",
      "10.0.0.2",
      "no node with the address 10.0.0.9 is ready to take its traffic",
    ],
  );
});
