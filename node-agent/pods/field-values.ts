// What fieldRef and resourceFieldRef stand for: values of the pod itself, for environment variables and downwardAPI files. Pure.
// Source: Kubernetes, "Downward API", available fields.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { bytes, cpuMilli } from "../../api/kinds/schema/quantity.ts";

/** What a pod's fields may name beyond its object. */
export interface NodeFacts {
  readonly nodeName: string;
  readonly nodeIp: string;
  /** Limits that were not set read as what the node has. */
  readonly allocatableCpuMilli: number;
  readonly allocatableMemoryBytes: number;
  readonly allocatableEphemeralStorageBytes: number;
}

export interface FieldContext {
  readonly pod: Pod;
  readonly podIps: readonly string[];
  readonly node: NodeFacts;
}

/** undefined when the path names nothing that Kubernetes offers. */
export function fieldValue(path: string, context: FieldContext): string | undefined {
  const { pod, podIps, node } = context;
  const meta = pod.metadata ?? {};
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) return (keyed[1] === "labels" ? meta.labels : meta.annotations)?.[keyed[2] ?? ""] ?? "";
  switch (path) {
    case "metadata.name":
      return meta.name ?? "";
    case "metadata.namespace":
      return meta.namespace ?? "";
    case "metadata.uid":
      return meta.uid ?? "";
    case "metadata.labels":
      return formatMap(meta.labels);
    case "metadata.annotations":
      return formatMap(meta.annotations);
    case "spec.nodeName":
      return node.nodeName;
    case "spec.serviceAccountName":
      return pod.spec?.serviceAccountName ?? "";
    case "status.hostIP":
    case "status.hostIPs":
      return node.nodeIp;
    case "status.podIP":
      return podIps[0] ?? "";
    case "status.podIPs":
      return podIps.join(",");
    default:
      return undefined;
  }
}

/** "limits.cpu" and the like, divided by `divisor` and rounded up; undefined when the resource is not known. */
export function resourceValue(
  resource: string,
  divisor: string | number | undefined,
  container: Container,
  node: NodeFacts,
): string | undefined {
  const [kind, name = ""] = resource.split(/\.(.*)/s);
  if (kind !== "limits" && kind !== "requests") return undefined;
  const limit = container.resources?.limits?.[name];
  const set = kind === "limits" ? limit : (container.resources?.requests?.[name] ?? limit);
  const by = divisor === undefined || divisor === "" || divisor === "0" || divisor === 0 ? "1" : divisor;
  switch (name) {
    case "cpu": {
      const milli = set === undefined ? (kind === "limits" ? node.allocatableCpuMilli : 0) : cpuMilli(set);
      return String(Math.ceil(milli / Math.max(1, cpuMilli(by))));
    }
    case "memory":
    case "ephemeral-storage": {
      const whole = name === "memory" ? node.allocatableMemoryBytes : node.allocatableEphemeralStorageBytes;
      const value = set === undefined ? (kind === "limits" ? whole : 0) : bytes(set);
      return String(Math.ceil(value / Math.max(1, bytes(by))));
    }
    default:
      return name.startsWith("hugepages-") ? String(set === undefined ? 0 : bytes(set)) : undefined;
  }
}

// key="escaped value", one a line, sorted: the form of downwardAPI files.
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}
