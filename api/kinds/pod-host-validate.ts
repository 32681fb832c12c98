// Rules of what a pod shares with its node, and of its names: namespaces, host aliases, DNS.
import type { PodSpec } from "./generated/types.ts";
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { forbidden, invalid, required } from "./schema/field-error.ts";
import { dns1123Subdomain, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";

const nameserversMax = 3;
const searchesMax = 32;

export function podHostErrors(spec: PodSpec, path: string): readonly FieldError[] {
  const { shareProcessNamespace, hostPID, hostnameOverride, hostNetwork, setHostnameAsFQDN } = spec;
  return [
    ...(shareProcessNamespace === true && hostPID === true
      ? [
          invalid(
            child(path, "shareProcessNamespace"),
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
          ),
        ]
      : []),
    ...(hostnameOverride === undefined
      ? []
      : complaints(child(path, "hostnameOverride"), hostnameOverride, dns1123Subdomain)),
    ...(hostnameOverride !== undefined && hostNetwork === true
      ? [forbidden(child(path, "hostnameOverride"), "may not be set when hostNetwork is true")]
      : []),
    ...(hostnameOverride !== undefined && setHostnameAsFQDN === true
      ? [forbidden(child(path, "setHostnameAsFQDN"), "may not be set beside hostnameOverride")]
      : []),
    ...hostPortErrors(spec, path),
    ...(spec.hostAliases ?? []).flatMap(({ ip, hostnames = [] }, i) => {
      const alias = at(child(path, "hostAliases"), i);
      return [
        ...ipErrors(child(alias, "ip"), ip),
        ...hostnames.flatMap((name, n) => complaints(at(child(alias, "hostnames"), n), name, dns1123Subdomain)),
      ];
    }),
    ...(spec.readinessGates ?? []).flatMap(({ conditionType }, i) =>
      complaints(child(at(child(path, "readinessGates"), i), "conditionType"), conditionType, qualifiedName),
    ),
    ...dnsErrors(spec, child(path, "dnsConfig")),
  ];
}

function hostPortErrors({ hostNetwork, containers }: PodSpec, path: string): readonly FieldError[] {
  if (hostNetwork !== true) return [];
  return containers.flatMap(({ ports = [] }, c) =>
    ports.flatMap(({ hostPort, containerPort }, p) =>
      hostPort === undefined || hostPort === 0 || hostPort === containerPort
        ? []
        : [
            invalid(
              child(at(child(at(child(path, "containers"), c), "ports"), p), "hostPort"),
              hostPort,
              "must match `containerPort` when `hostNetwork` is true",
            ),
          ],
    ),
  );
}

function dnsErrors({ dnsPolicy, dnsConfig = {} }: PodSpec, path: string): readonly FieldError[] {
  const { nameservers = [], searches = [], options = [] } = dnsConfig;
  return [
    ...(dnsPolicy === "None" && nameservers.length === 0
      ? [required(child(path, "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None")]
      : []),
    ...(nameservers.length > nameserversMax
      ? [invalid(child(path, "nameservers"), nameservers, `must not have more than ${nameserversMax} nameservers`)]
      : []),
    ...(searches.length > searchesMax
      ? [invalid(child(path, "searches"), searches, `must not have more than ${searchesMax} search paths`)]
      : []),
    ...nameservers.flatMap((server, i) => ipErrors(at(child(path, "nameservers"), i), server)),
    ...searches.flatMap((search, i) =>
      search === "." ? [] : complaints(at(child(path, "searches"), i), search.replace(/\.$/, ""), dns1123Subdomain),
    ),
    ...options.flatMap(({ name }, i) => (name ? [] : [required(child(at(child(path, "options"), i), "name"))])),
  ];
}

function ipErrors(path: string, text: string): readonly FieldError[] {
  const isV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(text);
  const isV6 = text.includes(":") && /^[0-9a-fA-F:.]+$/.test(text);
  return isV4 || isV6 ? [] : [invalid(path, text, "must be a valid IP address, such as 10.9.8.7 or 2001:db8::ffff")];
}
