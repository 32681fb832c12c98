// Who gets which token of a service account: asked over HTTPS by whoever may, over a node's session for the pods that it runs.
import { pods, serviceaccounts } from "../kinds/generated/resources.ts";
import type { Pod, TokenRequestSpec } from "../kinds/generated/types.ts";
import { mirrored } from "../kinds/mirror-pod.ts";
import { ApiError } from "../kinds/status.ts";
import type { Context } from "../verbs/context.ts";
import type { IssuedToken, ServiceAccountTokens } from "./service-account-token.ts";
import { nodesGroup, nodeUserPrefix, type User } from "./user.ts";

export interface WantedToken {
  readonly namespace: string;
  /** The account's name. */
  readonly account: string;
  readonly spec: Partial<TokenRequestSpec>;
}

const expirationSecondsDefault = 3600;
const expirationSecondsMin = 600;
const expirationSecondsMax = 2 ** 32;

/** Rejects with NotFound, Invalid, BadRequest, Conflict (another pod of that name) or Forbidden (a node for a pod that is not its own). */
export async function issueBoundToken(
  { cache, tokens }: { readonly cache: Context["cache"]; readonly tokens: ServiceAccountTokens },
  user: User,
  { namespace, account: name, spec }: WantedToken,
): Promise<IssuedToken> {
  const account = cache.get(serviceaccounts, `${namespace}/${name}`)?.object;
  if (account === undefined) throw new ApiError("NotFound", `serviceaccounts "${name}" not found`);
  const { audiences = [], expirationSeconds = expirationSecondsDefault, boundObjectRef } = spec;
  if (expirationSeconds < expirationSecondsMin || expirationSeconds > expirationSecondsMax) {
    const why = expirationSeconds < expirationSecondsMin ? "less than 10 minutes" : "larger than 2^32 seconds";
    throw new ApiError(
      "Invalid",
      `TokenRequest is invalid: spec.expirationSeconds: Invalid value: ${expirationSeconds}: may not specify a duration ${why}`,
    );
  }
  const pod = boundObjectRef === undefined ? undefined : boundPod(cache, { namespace, name }, boundObjectRef);
  restrictNode(user, pod);
  return tokens.issue({
    namespace,
    account: { name, uid: account.metadata?.uid ?? "" },
    pod: pod === undefined ? undefined : { name: pod.metadata?.name ?? "", uid: pod.metadata?.uid ?? "" },
    audiences,
    expirationSeconds,
  });
}

function boundPod(
  cache: Context["cache"],
  account: { readonly namespace: string; readonly name: string },
  ref: NonNullable<TokenRequestSpec["boundObjectRef"]>,
): Pod {
  if (ref.kind !== "Pod" || (ref.apiVersion ?? "v1") !== "v1")
    throw new ApiError("BadRequest", `cannot bind token to object of type ${ref.apiVersion ?? ""} ${ref.kind ?? ""}`);
  const pod = cache.get(pods, `${account.namespace}/${ref.name ?? ""}`)?.object;
  if (pod === undefined) throw new ApiError("NotFound", `pods "${ref.name ?? ""}" not found`);
  if (ref.uid !== undefined && ref.uid !== pod.metadata?.uid) {
    const message = `the UID in the bound object reference (${ref.uid}) does not match the UID in record (${pod.metadata?.uid}). The object might have been deleted and then recreated`;
    throw new ApiError("Conflict", message);
  }
  if ((pod.spec?.serviceAccountName ?? "default") !== account.name)
    throw new ApiError(
      "BadRequest",
      `cannot bind token for serviceaccount "${account.name}" to pod running with different serviceaccount name.`,
    );
  return pod;
}

/** A node speaks for the pods that were given to it, for nobody else: not for those that it made up itself either. */
function restrictNode(user: User, pod: Pod | undefined): void {
  if (!user.groups.includes(nodesGroup)) return;
  if (pod !== undefined && mirrored(pod) !== undefined) {
    throw new ApiError("Forbidden", "node may not request tokens for mirrors of its own static pods");
  }
  if (pod?.spec?.nodeName !== undefined && `${nodeUserPrefix}${pod.spec.nodeName}` === user.name) return;
  throw new ApiError("Forbidden", "node may only request tokens bound to pods that are scheduled on it");
}
