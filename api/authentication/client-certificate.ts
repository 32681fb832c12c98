// Who a connection's client certificate speaks for. TLS has verified it against the cluster's authority.
// Source: Kubernetes documentation, "Authenticating", "X509 client certificates": CN is the user, each O a group.
import type { TLSSocket } from "node:tls";
import { anonymous, authenticatedGroup, type User } from "./user.ts";

const known = new WeakMap<object, User>();

/** `key` lives as long as the connection: what is known of it is kept there. */
export function userOf(key: object, socket: TLSSocket): User {
  const present = known.get(key);
  if (present !== undefined) return present;
  const user = read(socket);
  known.set(key, user);
  return user;
}

function read(socket: TLSSocket): User {
  if (!socket.authorized) return anonymous;
  const subject = socket.getPeerCertificate()?.subject as
    | Readonly<Record<string, string | string[] | undefined>>
    | undefined;
  const name = subject?.["CN"];
  if (typeof name !== "string" || name === "") return anonymous;
  const organization = subject?.["O"] ?? [];
  const groups = typeof organization === "string" ? [organization] : organization;
  return { name, groups: [...groups, authenticatedGroup] };
}
