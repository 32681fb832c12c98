// Which kernel settings a pod may change: those of its own namespaces that cannot harm its neighbours, and what the node's owner allows.
// Pure. Source: Kubernetes, "Using sysctls in a Kubernetes Cluster", safe set.
import type { Pod } from "../../api/kinds/generated/types.ts";

const safe = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
];

/** Why the pod cannot run here, in words; undefined when it can. `allowed`: names, or beginnings such as "net.core.*". */
export function sysctlRefusal(pod: Pod, allowed: readonly string[]): string | undefined {
  const known = [...safe, ...allowed];
  const refused = (pod.spec?.securityContext?.sysctls ?? []).find(({ name }) => {
    const dotted = name.includes("/") ? name.replaceAll("/", ".") : name;
    return !known.some((one) => (one.endsWith("*") ? dotted.startsWith(one.slice(0, -1)) : dotted === one));
  });
  if (refused === undefined) return undefined;
  return `forbidden sysctl: "${refused.name}" not allowlisted; start the node's agent with --allowed-unsafe-sysctl ${refused.name} to allow it`;
}
