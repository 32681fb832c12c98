// TokenRequest: a token for a service account, asked for by whoever may, and by nodes for the pods that they run.

import { timestamp } from "../../lib/clock.ts";
import { nodesGroup, nodeUserPrefix, type User } from "../authentication/user.ts";
import { pods, serviceaccounts } from "../kinds/generated/resources.ts";
import type { Pod, TokenRequest } from "../kinds/generated/types.ts";
import type { Kind } from "../kinds/kind.ts";
import { mirrored } from "../kinds/mirror-pod.ts";
import { ApiError } from "../kinds/status.ts";
import { sendJson } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";
import type { ResourceRequest } from "./request-info.ts";
import { targetOf } from "./resources.ts";
import { notAllowed, readTyped } from "./typed-body.ts";

const expirationSecondsDefault = 3600;
const expirationSecondsMin = 600;
const expirationSecondsMax = 2 ** 32;

export async function requestToken(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  if (info.attributes.verb !== "create") throw notAllowed(info);
  const { name, namespace = "" } = targetOf(info, kind);
  const body = await readTyped<TokenRequest>(exchange, "io.k8s.api.authentication.v1.TokenRequest");
  const { cache } = door.context;
  const account = cache.get(serviceaccounts, `${namespace}/${name}`)?.object;
  if (account === undefined) throw new ApiError("NotFound", `serviceaccounts "${name}" not found`);
  if (door.tokens === undefined) throw new ApiError("ServiceUnavailable", "this server signs no tokens");
  const { audiences = [], expirationSeconds = expirationSecondsDefault, boundObjectRef } = body.spec ?? {};
  if (expirationSeconds < expirationSecondsMin || expirationSeconds > expirationSecondsMax) {
    const why = expirationSeconds < expirationSecondsMin ? "less than 10 minutes" : "larger than 2^32 seconds";
    throw new ApiError(
      "Invalid",
      `TokenRequest is invalid: spec.expirationSeconds: Invalid value: ${expirationSeconds}: may not specify a duration ${why}`,
    );
  }
  const pod = boundObjectRef === undefined ? undefined : boundPod(door, namespace, name, boundObjectRef);
  restrictNode(exchange.user, pod);
  const { uid = "" } = account.metadata ?? {};
  const { token, expiresAtMs } = await door.tokens.issue({
    namespace,
    account: { name, uid },
    pod: pod === undefined ? undefined : { name: pod.metadata?.name ?? "", uid: pod.metadata?.uid ?? "" },
    audiences,
    expirationSeconds,
  });
  const answer = {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name, namespace },
    spec: { ...body.spec, expirationSeconds },
    status: { token, expirationTimestamp: timestamp(expiresAtMs) },
  };
  await sendJson(exchange, answer, 201);
  return 201;
}

function boundPod(
  { context }: Door,
  namespace: string,
  account: string,
  ref: NonNullable<NonNullable<TokenRequest["spec"]>["boundObjectRef"]>,
): Pod {
  if (ref.kind !== "Pod" || (ref.apiVersion ?? "v1") !== "v1")
    throw new ApiError("BadRequest", `cannot bind token to object of type ${ref.apiVersion ?? ""} ${ref.kind ?? ""}`);
  const pod = context.cache.get(pods, `${namespace}/${ref.name ?? ""}`)?.object;
  if (pod === undefined) throw new ApiError("NotFound", `pods "${ref.name ?? ""}" not found`);
  if (ref.uid !== undefined && ref.uid !== pod.metadata?.uid) {
    const message = `the UID in the bound object reference (${ref.uid}) does not match the UID in record (${pod.metadata?.uid}). The object might have been deleted and then recreated`;
    throw new ApiError("Conflict", message);
  }
  if ((pod.spec?.serviceAccountName ?? "default") !== account)
    throw new ApiError(
      "BadRequest",
      `cannot bind token for serviceaccount "${account}" to pod running with different serviceaccount name.`,
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
