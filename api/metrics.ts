// What the API server counts, under the names that Kubernetes' dashboards know.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Attributes } from "./authorization/attributes.ts";

export interface ApiMetrics {
  /** A request is over. */
  observe(request: {
    readonly attributes: Attributes;
    readonly version: string;
    readonly code: number;
    readonly seconds: number;
  }): void;
  /** A request has begun (+1) or ended (-1). */
  inFlight(attributes: Attributes, change: 1 | -1): void;
  readonly registry: Registry;
}

/** Sizes per resource and the newest revision are read from the cache at the scrape. */
export interface ApiSizes {
  readonly objects: () => Iterable<readonly [resource: string, count: number]>;
  readonly revision: () => number;
}

const requestLabels = ["verb", "group", "version", "resource", "subresource", "scope", "code"] as const;
const durationLabels = ["verb", "group", "version", "resource", "subresource", "scope"] as const;
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function apiMetrics(registry: Registry, sizes: ApiSizes): ApiMetrics {
  const registers = [registry];
  const total = new Counter({
    name: "apiserver_request_total",
    help: "Requests answered, by verb, resource and HTTP status code.",
    labelNames: requestLabels,
    registers,
  });
  const duration = new Histogram({
    name: "apiserver_request_duration_seconds",
    help: "Time to answer a request, watches and streams aside.",
    labelNames: durationLabels,
    buckets: secondsBuckets,
    registers,
  });
  const inflight = new Gauge({
    name: "apiserver_current_inflight_requests",
    help: "Requests that are being answered, watches and streams aside.",
    labelNames: ["request_kind"],
    registers,
  });
  const longrunning = new Gauge({
    name: "apiserver_longrunning_requests",
    help: "Open watches and streams.",
    labelNames: ["verb", "resource"],
    registers,
  });
  addSizes(registers, sizes);
  return {
    registry,
    observe: ({ attributes, version, code, seconds }) => {
      const labels = labelsOf(attributes, version);
      total.inc({ ...labels, code: String(code) });
      if (!isLongRunning(attributes)) duration.observe(labels, seconds);
    },
    inFlight: (attributes, change) => {
      if (isLongRunning(attributes))
        longrunning.inc({ verb: verbOf(attributes), resource: resourceOf(attributes) }, change);
      else inflight.inc({ request_kind: isReading(attributes) ? "readOnly" : "mutating" }, change);
    },
  };
}

function isLongRunning(attributes: Attributes): boolean {
  if (attributes.type === "path") return attributes.path.startsWith("/naru/v1/nodes/");
  return attributes.verb === "watch" || ["exec", "attach", "portforward", "log"].includes(attributes.subresource);
}

function addSizes(registers: Registry[], sizes: ApiSizes): void {
  new Gauge({
    name: "apiserver_storage_objects",
    help: "Objects in the store, by resource.",
    labelNames: ["resource"],
    registers,
    collect() {
      for (const [resource, count] of sizes.objects()) this.set({ resource }, count);
    },
  });
  new Gauge({
    name: "naru_store_revision",
    help: "Newest revision of the store that this server serves.",
    registers,
    collect() {
      this.set(sizes.revision());
    },
  });
}

function labelsOf(attributes: Attributes, version: string) {
  if (attributes.type === "path") {
    return {
      verb: verbOf(attributes),
      group: "",
      version: "",
      resource: "",
      subresource: rootOf(attributes.path),
      scope: "",
    };
  }
  const { group, resource, subresource, namespace, name } = attributes;
  const scope = name !== "" ? "resource" : namespace !== "" ? "namespace" : "cluster";
  return { verb: verbOf(attributes), group, version, resource, subresource, scope };
}

/** Strangers choose paths: only the first part of a known one becomes a label. */
function rootOf(path: string): string {
  const root = `/${path.split("/")[1] ?? ""}`;
  const known = ["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/metrics", "/naru"];
  return known.includes(root) ? root : "other";
}

function verbOf({ verb }: Attributes): string {
  const names: Readonly<Record<string, string>> = { create: "POST", update: "PUT" };
  const known = ["get", "list", "watch", "patch", "delete", "deletecollection", "post", "put", "head"];
  return names[verb] ?? (known.includes(verb) ? verb.toUpperCase() : "other");
}

function resourceOf(attributes: Attributes): string {
  return attributes.type === "path" ? rootOf(attributes.path) : attributes.resource;
}

function isReading({ verb }: Attributes): boolean {
  return verb === "get" || verb === "list" || verb === "head";
}
