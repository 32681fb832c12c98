import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, Service } from "../kinds/generated/types.ts";
import { nodeHosts, registryHosts } from "./join.ts";
import { planTargets, type Scrapable } from "./prometheus-targets.ts";

const nothing: Scrapable = { nodes: [], pods: [], services: [], slices: [] };

const pod = (name: string, annotations: Record<string, string>, phase = "Running"): Pod => ({
  metadata: { name, namespace: "shop", labels: { "app.kubernetes.io/name": "web" }, annotations },
  spec: {
    nodeName: "n1",
    containers: [{ name: "web", ports: [{ containerPort: 8080 }, { containerPort: 53, protocol: "UDP" }] }],
  },
  status: { phase, podIP: "10.244.1.2" },
});

const slice = (namespace: string, service: string, addresses: readonly string[], port: number) => ({
  metadata: { namespace, name: `${service}-ipv4-0`, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  endpoints: addresses.map((address) => ({
    addresses: [address],
    targetRef: { kind: "Pod", namespace, name: "web-1" },
  })),
  ports: [{ name: "http", port }],
});

const podLabels = {
  __meta_kubernetes_namespace: "shop",
  __meta_kubernetes_pod_name: "web-1",
  __meta_kubernetes_pod_ip: "10.244.1.2",
  __meta_kubernetes_pod_node_name: "n1",
};

test("planTargets finds every server in the slice of the Service kubernetes", () => {
  const slices = [
    slice("default", "kubernetes", ["10.0.0.1", "fd00::2"], 6443),
    slice("shop", "kubernetes", ["1.2.3.4"], 1),
  ];
  const labels = { __meta_naru_role: "server", __scheme__: "https" };
  assert.deepEqual(planTargets("server", { ...nothing, slices }), [
    { targets: ["10.0.0.1:6443"], labels },
    { targets: ["[fd00::2]:6443"], labels },
  ]);
});

test("planTargets finds agents where their nodes say that they listen", () => {
  const status = (address: string, port?: number) => ({
    addresses: [
      { type: "Hostname", address: "n1" },
      { type: "InternalIP", address },
    ],
    ...(port === undefined ? {} : { daemonEndpoints: { kubeletEndpoint: { Port: port } } }),
  });
  const nodes = [
    { metadata: { name: "n1", labels: { "kubernetes.io/os": "linux" } }, status: status("10.0.0.11", 10250) },
    { metadata: { name: "silent" }, status: status("10.0.0.12") },
    { metadata: { name: "new" } },
  ];
  assert.deepEqual(planTargets("node", { ...nothing, nodes }), [
    {
      targets: ["10.0.0.11:10250"],
      labels: {
        __meta_naru_role: "node",
        __scheme__: "https",
        __meta_kubernetes_node_name: "n1",
        __meta_kubernetes_node_label_kubernetes_io_os: "linux",
        instance: "n1",
      },
    },
  ]);
});

test("planTargets finds running pods that ask for it, at their declared or their annotated port", () => {
  const pods = [
    pod("web-1", { "prometheus.io/scrape": "true", "kubectl.kubernetes.io/last-applied-configuration": "{…}" }),
    pod("web-1", { "prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/m" }),
    pod("quiet", { "prometheus.io/scrape": "false" }),
    pod("ended", { "prometheus.io/scrape": "true" }, "Succeeded"),
    pod("odd", { "prometheus.io/scrape": "true", "prometheus.io/path": "no path", "prometheus.io/scheme": "gopher" }),
  ];
  const labels = { __meta_naru_role: "pod", ...podLabels, __meta_kubernetes_pod_label_app_kubernetes_io_name: "web" };
  const annotation = (name: string) => `__meta_kubernetes_pod_annotation_prometheus_io_${name}`;
  assert.deepEqual(planTargets("pod", { ...nothing, pods }), [
    { targets: ["10.244.1.2:8080"], labels: { ...labels, [annotation("scrape")]: "true" } },
    {
      targets: ["10.244.1.2:9100"],
      labels: {
        ...labels,
        __metrics_path__: "/m",
        [annotation("scrape")]: "true",
        [annotation("port")]: "9100",
        [annotation("path")]: "/m",
      },
    },
    {
      targets: ["10.244.1.2:8080"],
      labels: {
        ...labels,
        __meta_kubernetes_pod_name: "odd",
        [annotation("scrape")]: "true",
        [annotation("path")]: "no path",
        [annotation("scheme")]: "gopher",
      },
    },
  ]);
});

test("planTargets finds the pods behind Services that ask for it", () => {
  const service: Service = {
    metadata: {
      name: "web",
      namespace: "shop",
      labels: { app: "web" },
      annotations: { "prometheus.io/scrape": "true" },
    },
    spec: {},
  };
  const slices = [slice("shop", "web", ["10.244.1.2"], 8080), slice("other", "web", ["10.244.1.3"], 8080)];
  const pods = [pod("web-1", {})];
  assert.deepEqual(planTargets("service", { ...nothing, services: [service], slices, pods }), [
    {
      targets: ["10.244.1.2:8080"],
      labels: {
        __meta_naru_role: "service",
        ...podLabels,
        __meta_kubernetes_service_name: "web",
        __meta_kubernetes_service_label_app: "web",
        __meta_kubernetes_service_annotation_prometheus_io_scrape: "true",
      },
    },
  ]);
});

test("nodeHosts names the node and where it is, but never the server", () => {
  const server = ["localhost", "127.0.0.1", "kubernetes", "10.0.0.1"];
  assert.deepEqual(
    [
      nodeHosts("n1", "::ffff:10.0.0.11", server),
      nodeHosts("n1", "fe80::1%eth0", server),
      nodeHosts("kubernetes", "10.0.0.1", server),
      nodeHosts("naru-agent", undefined, server),
    ],
    [["n1", "10.0.0.11"], ["n1", "fe80::1"], [], []].map(([name, ...address]) => [
      ...["naru-agent", ...(name === undefined ? [] : [name]), ...registryHosts, ...address],
    ]),
  );
});
