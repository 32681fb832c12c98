// Rules of a Service.
import type { Service, ServicePort, ServiceSpec } from "./generated/types.ts";
import { portInRange, portOrName } from "./handler-validate.ts";
import type { FieldError } from "./kind.ts";
import { complaints, duplicates, validateLabels, validateMetadata } from "./metadata.ts";
import { forbidden, immutable, invalid, oneOf, required } from "./schema/field-error.ts";
import { dns1035Label, dns1123Label, dns1123Subdomain } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";

const affinitySecondsMax = 86_400;

export function validateService(service: Service): readonly FieldError[] {
  return [
    ...validateMetadata(service, dns1035Label),
    ...(service.spec === undefined ? [required("spec")] : specErrors(service.spec)),
  ];
}

export function validateServiceUpdate({ spec }: Service, { spec: old }: Service): readonly FieldError[] {
  const free = spec?.type === "ExternalName" || old?.type === "ExternalName";
  const port = old?.healthCheckNodePort;
  if (port && spec?.healthCheckNodePort && spec.healthCheckNodePort !== port)
    return [immutable("spec.healthCheckNodePort", spec.healthCheckNodePort)];
  return free || !old?.clusterIP || spec?.clusterIP === old.clusterIP
    ? []
    : [
        immutable("spec.clusterIP", spec?.clusterIP),
        ...(spec?.clusterIPs === undefined ? [] : [immutable("spec.clusterIPs", spec.clusterIPs)]),
      ];
}

function affinityErrors({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): readonly FieldError[] {
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  const field = "spec.sessionAffinityConfig";
  if (sessionAffinity !== "ClientIP")
    return sessionAffinityConfig === undefined
      ? []
      : [forbidden(field, "must not be set when session affinity is None")];
  return seconds === undefined || (seconds > 0 && seconds <= affinitySecondsMax)
    ? []
    : [
        invalid(
          `${field}.clientIP.timeoutSeconds`,
          seconds,
          `must be greater than 0 and no more than ${affinitySecondsMax}`,
        ),
      ];
}

function specErrors(spec: ServiceSpec): readonly FieldError[] {
  const ports = spec.ports ?? [];
  const external = spec.type === "ExternalName";
  const headless = spec.clusterIP === "None";
  return [
    ...oneOf("spec.type", spec.type, ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ...oneOf("spec.sessionAffinity", spec.sessionAffinity, ["ClientIP", "None"]),
    ...affinityErrors(spec),
    ...oneOf("spec.internalTrafficPolicy", spec.internalTrafficPolicy, ["Cluster", "Local"]),
    ...oneOf("spec.externalTrafficPolicy", spec.externalTrafficPolicy, ["Cluster", "Local"]),
    ...(external ? externalErrors(spec) : []),
    ...balancerErrors(spec),
    ...(headless && (spec.type === "NodePort" || spec.type === "LoadBalancer")
      ? [invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${spec.type} services`)]
      : []),
    ...(spec.clusterIP && !headless && !/^\d{1,3}(?:\.\d{1,3}){3}$/.test(spec.clusterIP)
      ? [invalid("spec.clusterIP", spec.clusterIP, "must be empty, 'None', or an IPv4 address, such as 10.96.0.17")]
      : []),
    ...(ports.length === 0 && !external && !headless ? [required("spec.ports")] : []),
    ...ports.flatMap((port, i) => portErrors(port, at("spec.ports", i), ports.length > 1)),
    ...duplicates(
      ports.map((port) => `${port.port}/${port.protocol ?? "TCP"}`),
      (i) => at("spec.ports", i),
    ),
    ...namesTwice(ports),
    ...validateLabels("spec.selector", spec.selector),
  ];
}

function externalErrors(spec: ServiceSpec): readonly FieldError[] {
  if (!spec.externalName) return [required("spec.externalName")];
  return [
    ...complaints("spec.externalName", spec.externalName.replace(/\.$/, ""), dns1123Subdomain),
    ...(spec.clusterIP ? [forbidden("spec.clusterIPs[0]", "may not be set for ExternalName services")] : []),
  ];
}

function balancerErrors(spec: ServiceSpec): readonly FieldError[] {
  const { loadBalancerSourceRanges: ranges = [], loadBalancerClass, healthCheckNodePort } = spec;
  const only = (field: string, when: string) => forbidden(`spec.${field}`, `may only be used when ${when}`);
  const isBalanced = spec.type === "LoadBalancer";
  return [
    ...(ranges.length > 0 && !isBalanced ? [only("loadBalancerSourceRanges", "`type` is 'LoadBalancer'")] : []),
    ...(loadBalancerClass !== undefined && !isBalanced ? [only("loadBalancerClass", "`type` is 'LoadBalancer'")] : []),
    ...(healthCheckNodePort && !(isBalanced && spec.externalTrafficPolicy === "Local")
      ? [only("healthCheckNodePort", "`type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")]
      : []),
    ...ranges.flatMap((range, i) =>
      isRange(range.trim())
        ? []
        : [invalid(at("spec.loadBalancerSourceRanges", i), range, "must be a range of addresses, such as 10.9.8.0/24")],
    ),
  ];
}

/** IPv4 in full; of IPv6 what it is made of: nodes leave out what is none. */
function isRange(text: string): boolean {
  const [address = "", prefix = "", ...rest] = text.split("/");
  if (rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  const octets = address.split(".");
  const isIpv4 =
    octets.length === 4 && octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256);
  return isIpv4 ? Number(prefix) <= 32 : /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(address) && Number(prefix) <= 128;
}

function portErrors(port: ServicePort, path: string, named: boolean): readonly FieldError[] {
  return [
    ...(named && !port.name ? [required(child(path, "name"), "services with several ports name each of them")] : []),
    ...(port.name ? complaints(child(path, "name"), port.name, dns1123Label) : []),
    ...portInRange(child(path, "port"), port.port),
    ...oneOf(child(path, "protocol"), port.protocol, ["SCTP", "TCP", "UDP"]),
    ...(port.targetPort === undefined ? [] : portOrName(child(path, "targetPort"), port.targetPort)),
    ...(port.nodePort === undefined || port.nodePort === 0 ? [] : portInRange(child(path, "nodePort"), port.nodePort)),
  ];
}

function namesTwice(ports: readonly ServicePort[]): readonly FieldError[] {
  const named = ports.flatMap((port, i) => (port.name ? [{ name: port.name, i }] : []));
  return duplicates(
    named.map((n) => n.name),
    (n) => child(at("spec.ports", named[n]?.i ?? 0), "name"),
  );
}
