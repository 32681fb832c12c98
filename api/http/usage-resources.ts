// The resources of metrics.k8s.io, which are answered but not stored.
import type { Resource } from "../kinds/resource.ts";

export const usageGroup = "metrics.k8s.io";

const base = {
  group: usageGroup,
  version: "v1beta1",
  singular: "",
  verbs: ["get", "list"],
  shortNames: [],
  categories: [],
  subresources: [],
  // Of no type in the schemas: OpenAPI leaves them out.
  type: "",
};

export const usageResources: readonly Resource[] = [
  { ...base, resource: "nodes", kind: "NodeMetrics", namespaced: false },
  { ...base, resource: "pods", kind: "PodMetrics", namespaced: true },
];
