// Who may use the docker door over the network: whoever does is root on the node, so it takes an administrator's certificate.
import type { Duplex } from "node:stream";
import { type PeerCertificate, TLSSocket } from "node:tls";

/** Kubernetes' group of those who may do everything. */
const administrators = "system:masters";

export function refuseStrangers(socket: Duplex): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return "a client certificate of the cluster is needed";
  return isAdministrator(socket.getPeerCertificate())
    ? undefined
    : `the client certificate's organization is not ${administrators}: Docker's API makes its users root on the node`;
}

/** Of several organizations any counts. */
function isAdministrator({ subject }: PeerCertificate): boolean {
  const organizations: unknown = subject?.O;
  return Array.isArray(organizations) ? organizations.includes(administrators) : organizations === administrators;
}
