// What a Prometheus without Kubernetes discovery, such as Debian's, asks instead: all targets of the cluster, ready to scrape.
// Sources: Prometheus documentation, "HTTP service discovery" (shape), "kubernetes_sd_config" (names of the labels).
import { isIPv6 } from "node:net";
import { endpointslices, nodes, pods, services } from "../kinds/generated/resources.ts";
import type { EndpointSlice, Node, ObjectMeta, Pod, Service } from "../kinds/generated/types.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { sendJson } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";

export interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** The part of the cluster that targets are made of. */
export interface Scrapable {
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
}

const planners = { server: planServers, node: planNodes, pod: planPods, service: planServices } as const;
type TargetRole = keyof typeof planners;
const targetRoles = Object.keys(planners) as readonly TargetRole[];

/** GET /naru/v1/prometheus/targets?role=: one role's targets, or those of all roles. */
export async function sendTargets({ context: { cache } }: Door, exchange: Exchange): Promise<number> {
  const role = exchange.query.get("role");
  const wanted = role === null ? targetRoles : targetRoles.filter((one) => one === role);
  if (wanted.length === 0) {
    throw new ApiError("BadRequest", `role: must be one of ${targetRoles.join(", ")}, got ${JSON.stringify(role)}`);
  }
  const all = <T extends KubeObject>(resource: Resource<T>) => cache.list(resource).items.map(({ object }) => object);
  const cluster = { nodes: all(nodes), pods: all(pods), services: all(services), slices: all(endpointslices) };
  await sendJson(
    exchange,
    wanted.flatMap((one) => planTargets(one, cluster)),
  );
  return 200;
}

/** Labels are those of Prometheus' own discovery, so that the same relabelling serves both; `__meta_naru_role` says the role. */
export function planTargets(role: TargetRole, cluster: Scrapable): readonly TargetGroup[] {
  return planners[role](cluster).map(({ targets, labels }) => ({
    targets,
    labels: { __meta_naru_role: role, ...labels },
  }));
}

// Each server says in this slice where it is.
function planServers({ slices }: Scrapable): readonly TargetGroup[] {
  return slices
    .filter(({ metadata }) => metadata?.namespace === "default" && serviceOf(metadata) === "kubernetes")
    .flatMap(({ endpoints = [], ports = [] }) =>
      endpoints.flatMap(({ addresses: [address] }) =>
        ports.map(({ port }) => ({ targets: targetsAt(address, port), labels: { __scheme__: "https" } })),
      ),
    );
}

function planNodes({ nodes }: Scrapable): readonly TargetGroup[] {
  return nodes.flatMap(({ metadata, status }) => {
    const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
    // No port: the agent could not open one, or has not dialled in yet.
    if (address === undefined || port === undefined) return [];
    const name = metadata?.name ?? "";
    return {
      targets: targetsAt(address, port),
      labels: {
        __scheme__: "https",
        __meta_kubernetes_node_name: name,
        ...prefixed("__meta_kubernetes_node_label_", metadata?.labels),
        instance: name,
      },
    };
  });
}

function planPods({ pods }: Scrapable): readonly TargetGroup[] {
  return pods.flatMap((pod) => {
    const { metadata, spec, status } = pod;
    const address = status?.podIP;
    const asked = scrapeOf(metadata);
    if (asked === undefined || address === undefined || spec === undefined || status?.phase !== "Running") return [];
    const declared = spec.containers.flatMap(({ ports = [] }) =>
      ports.filter(({ protocol = "TCP" }) => protocol === "TCP").map(({ containerPort }) => containerPort),
    );
    return (asked.port === undefined ? declared : [asked.port]).map((port) => ({
      targets: targetsAt(address, port),
      labels: {
        ...asked.labels,
        ...podLabels(pod),
        ...prefixed("__meta_kubernetes_pod_label_", metadata?.labels),
        ...prefixed("__meta_kubernetes_pod_annotation_", asked.annotations),
      },
    }));
  });
}

// The pods behind a Service that asks for it.
function planServices({ services, slices, pods }: Scrapable): readonly TargetGroup[] {
  const asking = new Map(
    services.flatMap(({ metadata }) => {
      const asked = scrapeOf(metadata);
      return asked === undefined ? [] : [[keyOf(metadata?.namespace, metadata?.name), { metadata, asked }] as const];
    }),
  );
  if (asking.size === 0) return [];
  const podOf = new Map(pods.map((pod) => [keyOf(pod.metadata?.namespace, pod.metadata?.name), pod]));
  return slices.flatMap(({ metadata, endpoints = [], ports = [] }) => {
    const service = asking.get(keyOf(metadata?.namespace, serviceOf(metadata)));
    if (service === undefined) return [];
    const { asked } = service;
    return endpoints.flatMap(({ addresses: [address], targetRef }) => {
      const pod = targetRef?.kind === "Pod" ? podOf.get(keyOf(targetRef.namespace, targetRef.name)) : undefined;
      return (asked.port === undefined ? ports.map(({ port }) => port) : [asked.port]).map((port) => ({
        targets: targetsAt(address, port),
        labels: {
          ...asked.labels,
          ...(pod === undefined ? {} : podLabels(pod)),
          __meta_kubernetes_namespace: metadata?.namespace ?? "",
          __meta_kubernetes_service_name: serviceOf(metadata) ?? "",
          ...prefixed("__meta_kubernetes_service_label_", service.metadata?.labels),
          ...prefixed("__meta_kubernetes_service_annotation_", asked.annotations),
        },
      }));
    });
  });
}

interface Scrape {
  readonly port: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const annotationPrefix = "prometheus.io/";

/** What the annotations prometheus.io/scrape, port, path and scheme ask for. */
function scrapeOf(metadata: ObjectMeta | undefined): Scrape | undefined {
  const own = Object.entries(metadata?.annotations ?? {}).filter(([name]) => name.startsWith(annotationPrefix));
  const annotations = Object.fromEntries(own);
  if (annotations[`${annotationPrefix}scrape`] !== "true") return undefined;
  const port = Number(annotations[`${annotationPrefix}port`]);
  const path = annotations[`${annotationPrefix}path`];
  const scheme = annotations[`${annotationPrefix}scheme`];
  return {
    port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined,
    // One target that Prometheus cannot read would cost it the whole answer.
    labels: {
      ...(path?.startsWith("/") === true ? { __metrics_path__: path } : {}),
      ...(scheme === "https" ? { __scheme__: scheme } : {}),
    },
    annotations,
  };
}

function podLabels({ metadata, spec, status }: Pod): Readonly<Record<string, string>> {
  return {
    __meta_kubernetes_namespace: metadata?.namespace ?? "",
    __meta_kubernetes_pod_name: metadata?.name ?? "",
    __meta_kubernetes_pod_ip: status?.podIP ?? "",
    __meta_kubernetes_pod_node_name: spec?.nodeName ?? "",
  };
}

function prefixed(
  prefix: string,
  values: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([name, value]) => [prefix + name.replaceAll(/[^a-zA-Z0-9_]/g, "_"), value]),
  );
}

function serviceOf(metadata: ObjectMeta | undefined): string | undefined {
  return metadata?.labels?.["kubernetes.io/service-name"];
}

function keyOf(namespace: string | undefined, name: string | undefined): string {
  return `${namespace}/${name}`;
}

// An endpoint or a port may lack what it is reached by.
function targetsAt(host: string | undefined, port: number | undefined): readonly string[] {
  return host === undefined || port === undefined ? [] : [`${isIPv6(host) ? `[${host}]` : host}:${port}`];
}
