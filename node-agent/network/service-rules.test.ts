import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { EndpointSlice, Service } from "../../api/kinds/generated/types.ts";
import { indexCluster } from "./cluster-index.ts";
import { affinityText } from "./nft-text.ts";
import { RuleBook } from "./rule-book.ts";
import { planService, type RuleElement } from "./service-rules.ts";

const line = ({ map, family, key, value }: RuleElement) => `${map}${family} ${key} ${value}`.trim();

const here = (nodeName: string, zone = "") => ({ nodeName, zone });

it("maps address and port to slots, slots to ready endpoints: planService", () => {
  const service = serviceOf("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }] });
  const slices = [
    sliceOf("web", { addresses: ["10.244.1.5", "10.244.2.5"], nodes: ["n1", "n2"], port: 8080 }),
    sliceOf("web", { addresses: ["10.244.3.5"], nodes: ["n3"], port: 8080, ready: false }),
  ];
  assert.deepEqual(planService(service, slices, here("n1")).map(line), [
    "services4 10.96.0.9 . tcp . 80 goto cluster-any-2-ip4",
    "endpoints4 10.96.0.9 . tcp . 80 . 0 10.244.1.5 . 8080",
    "endpoints4 10.96.0.9 . tcp . 80 . 1 10.244.2.5 . 8080",
    "hairpins4 10.244.1.5 . 10.244.1.5",
  ]);
});

it("keeps the source for local traffic policies, rewrites it for others: planService", () => {
  const spec = { type: "NodePort", clusterIP: "10.96.0.9", externalIPs: ["192.0.2.1"] };
  const ports = [{ name: "http", port: 80, nodePort: 30080 }];
  const slices = [sliceOf("web", { addresses: ["10.244.1.5", "10.244.2.5"], nodes: ["n1", "n2"], port: 8080 })];
  const wide = serviceOf("web", { ...spec, ports });
  const local = serviceOf("web", { ...spec, ports, externalTrafficPolicy: "Local", sessionAffinity: "ClientIP" });
  const chains = (service: Service, node: string) =>
    planService(service, slices, here(node))
      .filter(({ chain }) => chain !== undefined)
      .map(line);
  assert.deepEqual(
    [chains(wide, "n1"), chains(local, "n1"), chains(local, "n3")],
    [
      [
        "services4 10.96.0.9 . tcp . 80 goto cluster-any-2-ip4",
        "services4 192.0.2.1 . tcp . 80 goto external-any-2-ip4",
        "nodeports4 tcp . 30080 goto node-any-2-ip4",
      ],
      [
        "services4 10.96.0.9 . tcp . 80 goto cluster-sticky10800-2-ip4",
        "services4 192.0.2.1 . tcp . 80 goto cluster-sticky10800-1-ip4",
        "nodeports4 tcp . 30080 goto node-local-sticky10800-1-ip4",
      ],
      ["services4 10.96.0.9 . tcp . 80 goto cluster-sticky10800-2-ip4"],
    ],
  );
});

it("gives an endpoint that clients keep an id of its own, whoever else is there: planService", () => {
  const service = serviceOf("web", {
    clusterIP: "10.96.0.9",
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } },
    ports: [{ name: "http", port: 80 }],
  });
  const idsWith = (addresses: readonly string[]) => {
    const slices = [sliceOf("web", { addresses, nodes: addresses.map(() => "n2"), port: 8080 })];
    const plan = planService(service, slices, here("n1"));
    const endpoints = plan.filter(({ map }) => map === "endpoints");
    return {
      chain: plan.map(({ chain }) => chain).find((chain) => chain !== undefined),
      ids: new Map(endpoints.map(({ key, value }) => [value, key.split(" . ").at(-1)])),
      slots: plan.filter(({ map }) => map === "slots").map(({ value }) => value),
    };
  };
  const both = idsWith(["10.244.1.5", "10.244.2.5"]);
  const one = idsWith(["10.244.2.5"]);
  assert.deepEqual(both.slots, [...both.ids.values()]);
  assert.deepEqual([...one.ids], [["10.244.2.5 . 8080", both.ids.get("10.244.2.5 . 8080")]]);
  assert.deepEqual(both.chain, { family: 4, entry: "cluster", stickySeconds: 5, count: 2 });
});

it("brings back who had which endpoint from what nft lists: affinityText", () => {
  const listing = (elements: string) =>
    `table inet t {\n\tmap affinity4 {\n\t\tflags dynamic,timeout${elements}\n\t}\n}`;
  const line = "10.0.0.1 . 10.96.0.1 . tcp . 80 timeout 3h expires 1h59m59s996ms : 0x00000005";
  assert.deepEqual(
    [affinityText("t", 4, listing(`\n\t\telements = { ${line} }`)), affinityText("t", 4, listing(""))],
    [`add element inet t affinity4 { ${line} }\n`, ""],
  );
});

it("lets only some clients on to a balancer's addresses, nobody where no range is of the address's family: planService", () => {
  const slices = [sliceOf("web", { addresses: ["10.244.1.5"], nodes: ["n1"], port: 8080 })];
  const guards = (loadBalancerSourceRanges: readonly string[]) => {
    const spec = { type: "LoadBalancer", clusterIP: "10.96.0.9", loadBalancerSourceRanges };
    const service = {
      ...serviceOf("web", { ...spec, ports: [{ name: "http", port: 80 }] }),
      status: { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } },
    };
    const found = planService(service, slices, here("n1")).filter(({ map }) => map === "guards");
    return found.map(({ key, chain }) => [key, chain !== undefined && "ranges" in chain ? chain.ranges : []]);
  };
  const key = "192.0.2.1 . tcp . 80";
  assert.deepEqual(
    [guards([]), guards([" 10.1.2.3/8", "10.0.0.0/8", "10.7.0.0/16", "fd00::/8"]), guards(["fd00::/8"])],
    [[], [[key, ["10.0.0.0/8"]]], [[key, []]]],
  );
});

it("keeps clients on their node where the service wants or prefers that: planService", () => {
  const slices = [sliceOf("web", { addresses: ["10.244.1.5", "10.244.2.5"], nodes: ["n1", "n2"], port: 8080 })];
  const endpoints = (spec: Service["spec"], node: string) =>
    planService(
      serviceOf("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }], ...spec }),
      slices,
      here(node),
    )
      .filter(({ map }) => map === "endpoints")
      .map(({ value }) => value);
  const both = ["10.244.1.5 . 8080", "10.244.2.5 . 8080"];
  const near = { trafficDistribution: "PreferSameNode" };
  const only = { internalTrafficPolicy: "Local" };
  assert.deepEqual(
    [endpoints(near, "n2"), endpoints(near, "n3"), endpoints(only, "n2"), endpoints(only, "n3")],
    [[both[1]], both, [both[1]], []],
  );
});

it("keeps clients in their zone where the service prefers that, and every endpoint says whom it is for: planService", () => {
  const slice = sliceOf("web", { addresses: ["10.244.1.5", "10.244.2.5"], nodes: ["n1", "n2"], port: 8080 });
  const hinted = (zones: readonly string[]): EndpointSlice => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).map((endpoint, i) =>
      zones[i] === undefined ? endpoint : { ...endpoint, hints: { forZones: [{ name: zones[i] }] } },
    ),
  });
  const endpoints = (trafficDistribution: string, zones: readonly string[], node: string, zone: string) =>
    planService(
      serviceOf("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }], trafficDistribution }),
      [hinted(zones)],
      here(node, zone),
    )
      .filter(({ map }) => map === "endpoints")
      .map(({ value }) => value.slice(0, 10));
  const [one = "", two = ""] = ["10.244.1.5", "10.244.2.5"];
  assert.deepEqual(
    [
      endpoints("PreferSameZone", ["a", "b"], "n9", "b"),
      endpoints("PreferClose", ["a", "b"], "n9", "a"),
      endpoints("PreferSameNode", ["a", "b"], "n9", "b"),
      endpoints("PreferSameNode", ["a", "b"], "n1", "b"),
      endpoints("PreferSameZone", ["a", "b"], "n9", "c"),
      endpoints("PreferSameZone", ["a"], "n9", "a"),
      endpoints("PreferSameZone", ["a", "b"], "n9", ""),
    ],
    [[two], [one], [two], [one], [one, two], [one, two], [one, two]],
  );
});

it("serves endpoints that end while no other is ready: planService", () => {
  const service = serviceOf("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }] });
  const ending = sliceOf("web", { addresses: ["10.244.1.5"], nodes: ["n2"], port: 8080, ready: false, ending: true });
  const fresh = sliceOf("web", { addresses: ["10.244.1.6"], nodes: ["n2"], port: 8080 });
  const endpoints = (slices: readonly EndpointSlice[]) =>
    planService(service, slices, here("n1")).flatMap(({ map, value }) => (map === "endpoints" ? [value] : []));
  assert.deepEqual([endpoints([ending]), endpoints([ending, fresh])], [["10.244.1.5 . 8080"], ["10.244.1.6 . 8080"]]);
});

it("lets nothing into the rules that is not an address, a port or a protocol: planService", () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.constantFrom("10.96.0.9", "::1", "TCP", "10.0.0.1 }; flush ruleset", "a\nb"),
  );
  const words = /^[0-9a-f.: ]+( (tcp|udp|sctp))?[0-9a-f.: ]*$|^(tcp|udp|sctp)[0-9. ]*$/;
  fc.assert(
    fc.property(hostile, hostile, hostile, fc.double(), (ip, protocol, address, port) => {
      const service = serviceOf(ip, { clusterIP: ip, type: "NodePort", externalIPs: [ip, address] });
      const ports = [{ name: protocol, port, nodePort: port, protocol }];
      const slice = {
        ...sliceOf(ip, { addresses: [address], nodes: [ip], port: 80 }),
        ports: [{ name: protocol, port, protocol }],
      };
      const elements = planService({ ...service, spec: { ...service.spec, ports } }, [slice], here(ip));
      for (const { key, value } of elements) {
        assert.match(key, words);
        assert.match(value, /^(|(goto|jump) [a-z0-9-]+|[0-9a-f.:]+ \. \d+)$/);
      }
    }),
  );
});

it("brings the kernel's elements to the new state by its differences alone: RuleBook.update", () => {
  const serviceChanges = fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    ip: fc.constantFrom("10.96.0.1", "10.96.0.2", "10.96.0.3"),
    endpoints: fc.subarray(["10.244.1.1", "10.244.1.2", "10.244.2.1"]),
    isThere: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(serviceChanges, { maxLength: 30 }), (changes) => {
      const book = new RuleBook("n1");
      const kernel = new Map<string, string>();
      const services = new Map<string, Service>();
      const slices = new Map<string, EndpointSlice>();
      let index = indexCluster({ services: [], endpointSlices: [] }, new Map());
      for (const { name, ip, endpoints, isThere } of changes) {
        services.delete(name);
        slices.delete(name);
        if (isThere) {
          services.set(name, serviceOf(name, { clusterIP: ip, ports: [{ name: "http", port: 80 }] }));
          slices.set(name, sliceOf(name, { addresses: endpoints, nodes: endpoints.map(() => "n1"), port: 80 }));
        }
        index = indexCluster({ services: [...services.values()], endpointSlices: [...slices.values()] }, index);
        const change = book.update(index, new Map());
        for (const element of change.remove) {
          const name = `${element.map} ${element.key}`;
          assert.equal(kernel.get(name), element.value, "nft refuses to delete what is not there");
          kernel.delete(name);
        }
        for (const element of change.add) {
          assert.equal(kernel.has(`${element.map} ${element.key}`), false);
          kernel.set(`${element.map} ${element.key}`, element.value);
        }
        const wanted = book.elements().map((element) => [`${element.map} ${element.key}`, element.value] as const);
        assert.deepEqual(new Map([...kernel].sort()), new Map([...wanted].sort()));
        // Every address that some service has and that has endpoints is served.
        const served = new Set(
          [...index.values()].flatMap((entry) =>
            planService(entry.service, entry.slices, here("n1")).map(({ map, key }) => `${map} ${key}`),
          ),
        );
        assert.deepEqual([...kernel.keys()].sort(), [...served].sort());
      }
    }),
  );
});

function serviceOf(name: string, spec: Service["spec"]): Service {
  return { metadata: { name, namespace: "default" }, spec: { ...spec } };
}

interface SliceFacts {
  readonly addresses: readonly string[];
  readonly nodes: readonly string[];
  readonly port: number;
  readonly ready?: boolean;
  readonly ending?: boolean;
}

function sliceOf(service: string, { addresses, nodes, port, ready = true, ending = false }: SliceFacts): EndpointSlice {
  return {
    metadata: { name: service, namespace: "default", labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "http", port, protocol: "TCP" }],
    endpoints: addresses.map((address, i) => ({
      addresses: [address],
      nodeName: nodes[i] ?? "",
      conditions: { ready, serving: ready || ending, terminating: ending },
    })),
  };
}
