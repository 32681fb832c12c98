// Asks the API, as the bearer of a token, who that is and whether they may do something: what a component does for its own clients.
import type { SelfSubjectAccessReview } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import { httpsTransport } from "./transport.ts";

export interface Bearer {
  readonly name: string;
  readonly groups: readonly string[];
  readonly allowed: boolean;
}

export interface WantedAccess {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly name: string;
  readonly namespace?: string;
}

/** Undefined for a token that the API does not know. Rejects with ApiError when the API cannot be asked. */
export async function reviewToken(
  { server, authorityPem }: { readonly server: string; readonly authorityPem: string },
  token: string,
  { wanted, signal }: { readonly wanted: WantedAccess; readonly signal: AbortSignal },
): Promise<Bearer | undefined> {
  using transport = httpsTransport({ server, authorityPem, token, namespace: "default" });
  const post = (path: string, body: unknown) => transport.json({ method: "POST", path, body, signal });
  try {
    const [self, access] = await Promise.all([
      post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}),
      post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: { resourceAttributes: wanted } }),
    ]);
    const { status } = self as { status?: { userInfo?: { username?: string; groups?: readonly string[] } } };
    const { username = "", groups = [] } = status?.userInfo ?? {};
    return { name: username, groups, allowed: (access as SelfSubjectAccessReview).status?.allowed === true };
  } catch (error) {
    if (isReason(error, "Unauthorized")) return undefined;
    throw error;
  }
}
