// Asks for a token of a service account, bound to a pod: what an agent does for the pods that it runs.
import type { TokenRequest } from "../api/kinds/generated/types.ts";
import type { NodeIdentity } from "./join.ts";
import { httpsTransport } from "./transport.ts";

export interface WantedToken {
  readonly namespace: string;
  readonly account: string;
  readonly pod: { readonly name: string; readonly uid: string };
  /** "": the cluster's API. */
  readonly audience: string;
  readonly expirationSeconds: number;
}

/** Over a connection of its own, as the node that `identity` names. Rejects with ApiError. */
export async function requestServiceAccountToken(
  { server, identity }: { readonly server: string; readonly identity: NodeIdentity },
  wanted: WantedToken,
  signal: AbortSignal,
): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
  const { namespace, account, pod, audience, expirationSeconds } = wanted;
  const body: TokenRequest = {
    spec: {
      audiences: audience === "" ? [] : [audience],
      expirationSeconds,
      boundObjectRef: { kind: "Pod", apiVersion: "v1", ...pod },
    },
  };
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(account)}/token`;
  using transport = httpsTransport({ server, namespace, ...identity });
  const answer = (await transport.json({ method: "POST", path, body, signal })) as TokenRequest;
  const { token = "", expirationTimestamp = "" } = answer.status ?? {};
  if (token === "") throw new Error(`POST ${path}: the answer holds no token`);
  return { token, expiresAtMs: Date.parse(expirationTimestamp) };
}
