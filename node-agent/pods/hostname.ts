// The name a pod's processes see, and what stands in /etc/hosts. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";

const hostnameMax = 63;

export function podHostname(pod: Pod, nodeName: string): string {
  if (pod.spec?.hostNetwork === true) return nodeName;
  const wanted = pod.spec?.hostnameOverride ?? pod.spec?.hostname ?? "";
  const name = wanted === "" ? (pod.metadata?.name ?? "pod") : wanted;
  return name.length <= hostnameMax ? name : name.slice(0, hostnameMax).replace(/[-.]+$/, "");
}

/** "name.subdomain.namespace.svc.domain" for a pod with a subdomain. */
export function podDomainName(pod: Pod, hostname: string, clusterDomain: string): string | undefined {
  const { subdomain = "" } = pod.spec ?? {};
  if (subdomain === "") return undefined;
  return `${hostname}.${subdomain}.${pod.metadata?.namespace ?? "default"}.svc.${clusterDomain}`;
}

export function hostsFile(
  pod: Pod,
  names: { readonly hostname: string; readonly domainName: string | undefined; readonly ips: readonly string[] },
): string {
  const lines = [
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
    ...names.ips.map((ip) => [ip, names.domainName, names.hostname].filter((part) => part !== undefined).join("\t")),
  ];
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length > 0) lines.push("", "# Entries added by HostAliases.");
  for (const { ip, hostnames = [] } of aliases) lines.push([ip, ...hostnames].join("\t"));
  return `${lines.join("\n")}\n`;
}

/** Lines of resolv.conf after dnsConfig's own. `cluster` is what network gives, `host` the node's file. */
export function resolvConf(pod: Pod, cluster: string, host: string): string {
  const policy = pod.spec?.dnsPolicy ?? "ClusterFirst";
  const useHost = policy === "Default" || (policy === "ClusterFirst" && pod.spec?.hostNetwork === true);
  const base = policy === "None" ? "" : useHost ? host : cluster;
  const config = pod.spec?.dnsConfig;
  if (config === undefined) return base;
  const words = (keyword: string) =>
    base.split("\n").flatMap((line) => (line.startsWith(`${keyword} `) ? line.split(/\s+/).slice(1) : []));
  const unique = (list: readonly string[]) => [...new Set(list.filter((word) => word !== ""))];
  const options = new Map(words("options").map((word) => [word.split(":")[0] ?? "", word]));
  for (const { name = "", value } of config.options ?? []) {
    options.set(name, value === undefined ? name : `${name}:${value}`);
  }
  const searches = unique([...words("search"), ...(config.searches ?? [])]);
  const lines = [
    ...unique([...words("nameserver"), ...(config.nameservers ?? [])]).map((server) => `nameserver ${server}`),
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : []),
    ...(options.size > 0 ? [`options ${[...options.values()].join(" ")}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
