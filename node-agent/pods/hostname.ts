// The name a pod's processes see, and what stands in /etc/hosts. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";

const hostnameMax = 63;
/** What the kernel takes: __NEW_UTS_LEN. */
const kernelNameMax = 64;

export interface HostNames {
  /** "web-1" */
  readonly hostname: string;
  /** "web-1.sub.shop.svc.cluster.local" for a pod with a subdomain. */
  readonly domainName: string | undefined;
  /** What gethostname() says inside: with setHostnameAsFQDN the domain name. */
  readonly kernelName: string;
}

/** Throws when setHostnameAsFQDN asks for a name that the kernel does not take. */
export function hostNames(pod: Pod, node: { readonly nodeName: string; readonly clusterDomain: string }): HostNames {
  const hostname = podHostname(pod, node.nodeName);
  const domainName = podDomainName(pod, hostname, node.clusterDomain);
  const spelled = pod.spec?.setHostnameAsFQDN === true && pod.spec.hostNetwork !== true ? domainName : undefined;
  if (spelled !== undefined && spelled.length > kernelNameMax) {
    throw new Error(
      `setHostnameAsFQDN: ${spelled} has ${spelled.length} characters, a hostname may have ${kernelNameMax}`,
    );
  }
  return { hostname, domainName, kernelName: spelled ?? hostname };
}

export function podHostname(pod: Pod, nodeName: string): string {
  if (pod.spec?.hostNetwork === true) return nodeName;
  const wanted = pod.spec?.hostnameOverride ?? pod.spec?.hostname ?? "";
  const name = wanted === "" ? (pod.metadata?.name ?? "pod") : wanted;
  return name.length <= hostnameMax ? name : name.slice(0, hostnameMax).replace(/[-.]+$/, "");
}

function podDomainName(pod: Pod, hostname: string, clusterDomain: string): string | undefined {
  const { subdomain = "", hostnameOverride, hostNetwork } = pod.spec ?? {};
  if (subdomain === "" || hostnameOverride !== undefined || hostNetwork === true) return undefined;
  return `${hostname}.${subdomain}.${pod.metadata?.namespace ?? "default"}.svc.${clusterDomain}`;
}

const loopbackLines: readonly string[] = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "fe00::0\tip6-mcastprefix",
  "fe00::1\tip6-allnodes",
  "fe00::2\tip6-allrouters",
];

/** `hostFile` is the node's own, which pods in its network see. */
export function hostsFile(
  pod: Pod,
  names: Omit<HostNames, "kernelName"> & { readonly ips: readonly string[] },
  hostFile: string,
): string {
  const nameOf = (ip: string) => [ip, names.domainName, names.hostname].filter((part) => part !== undefined).join("\t");
  const lines =
    pod.spec?.hostNetwork === true
      ? ["# Kubernetes-managed hosts file (host network).", hostFile.trimEnd()]
      : ["# Kubernetes-managed hosts file.", ...loopbackLines, ...names.ips.map(nameOf)];
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
