// TokenRequest: a token for a service account, asked for by whoever may.
import { timestamp } from "../../lib/clock.ts";
import { issueBoundToken } from "../authentication/bound-token.ts";
import type { TokenRequest } from "../kinds/generated/types.ts";
import type { Kind } from "../kinds/kind.ts";
import { ApiError } from "../kinds/status.ts";
import { sendJson } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";
import type { ResourceRequest } from "./request-info.ts";
import { targetOf } from "./resources.ts";
import { notAllowed, readTyped } from "./typed-body.ts";

export async function requestToken(door: Door, exchange: Exchange, info: ResourceRequest, kind: Kind): Promise<number> {
  if (info.attributes.verb !== "create") throw notAllowed(info);
  const { name, namespace = "" } = targetOf(info, kind);
  const { spec = { audiences: [] } } = await readTyped<TokenRequest>(
    exchange,
    "io.k8s.api.authentication.v1.TokenRequest",
  );
  const { tokens, context } = door;
  if (tokens === undefined) throw new ApiError("ServiceUnavailable", "this server signs no tokens");
  const wanted = { namespace, account: name, spec };
  const { token, expiresAtMs, expirationSeconds } = await issueBoundToken(
    { cache: context.cache, tokens },
    exchange.user,
    wanted,
  );
  const answer = {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name, namespace },
    spec: { ...spec, expirationSeconds },
    status: { token, expirationTimestamp: timestamp(expiresAtMs) },
  };
  await sendJson(exchange, answer, 201);
  return 201;
}
