// What a Service does beyond its schema.
import { ageColumn, column, labelsText, nameColumn, wide } from "./columns.ts";
import { services } from "./generated/resources.ts";
import type { Service, ServicePort, ServiceSpec } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { fill } from "./schema/fill.ts";
import { allocateService, reallocateService } from "./service-allocate.ts";
import { validateService, validateServiceUpdate } from "./service-validate.ts";
import { keepStatus } from "./status-field.ts";

export const serviceKind: Kind<Service> = {
  resource: services,
  columns: [
    nameColumn,
    column("Type", "How it can be reached.", (service) => service.spec?.type ?? ""),
    column("Cluster-IP", "Its address inside of the cluster.", (service) => service.spec?.clusterIP || "<none>"),
    column("External-IP", "Its addresses outside of the cluster.", externalText),
    column("Port(s)", "Its ports, and those on every node.", (service) => portsText(service.spec?.ports ?? [])),
    ageColumn,
    wide("Selector", "Labels of the pods behind it.", (service) => labelsText(service.spec?.selector)),
  ],
  selectableFields: {
    "spec.clusterIP": (service) => service.spec?.clusterIP ?? "",
    "spec.type": (service) => service.spec?.type ?? "",
  },
  defaults: (service) => (service.spec === undefined ? service : { ...service, spec: specDefaults(service.spec) }),
  prepareCreate: (service, { allocate }) => ({ ...allocateService(service, allocate), status: { loadBalancer: {} } }),
  prepareUpdate: (service, old, { allocate }) => keepStatus(reallocateService(service, old, allocate), old),
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  unsupportedFields: ["ipFamilyPolicy=PreferDualStack", "ipFamilyPolicy=RequireDualStack"],
};

function specDefaults(spec: ServiceSpec): ServiceSpec {
  const filled = fill(spec, { type: "ClusterIP", sessionAffinity: "None" });
  const external = filled.type === "NodePort" || filled.type === "LoadBalancer" || (spec.externalIPs?.length ?? 0) > 0;
  return {
    ...filled,
    ...(filled.type === "ExternalName" ? {} : { internalTrafficPolicy: spec.internalTrafficPolicy || "Cluster" }),
    ...(external ? { externalTrafficPolicy: spec.externalTrafficPolicy || "Cluster" } : {}),
    ...(filled.type === "LoadBalancer"
      ? { allocateLoadBalancerNodePorts: spec.allocateLoadBalancerNodePorts ?? true }
      : {}),
    ...(filled.sessionAffinity === "ClientIP"
      ? { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800, ...spec.sessionAffinityConfig?.clientIP } } }
      : {}),
    ...(spec.ports === undefined ? {} : { ports: spec.ports.map(portDefaults) }),
  };
}

function portDefaults(port: ServicePort): ServicePort {
  return { ...fill(port, { protocol: "TCP" }), targetPort: port.targetPort || port.port };
}

function externalText({ spec, status }: Service): string {
  const addresses = spec?.externalIPs ?? [];
  if (spec?.type === "ExternalName") return spec.externalName || "<none>";
  if (spec?.type !== "LoadBalancer") return addresses.join(",") || "<none>";
  const balanced = (status?.loadBalancer?.ingress ?? []).map((ingress) => ingress.ip || ingress.hostname || "");
  return [...balanced, ...addresses].join(",") || "<pending>";
}

function portsText(ports: readonly ServicePort[]): string {
  const texts = ports.map((p) => `${p.port}${p.nodePort ? `:${p.nodePort}` : ""}/${p.protocol ?? "TCP"}`);
  return texts.join(",") || "<none>";
}
