// Tokens of service accounts: signed statements of who a pod is, for as long as the pod, the account and the token's time last.
// Source: Kubernetes documentation, "Managing Service Accounts", bound service account tokens.
import { createHash, createPrivateKey, createPublicKey, randomUUID } from "node:crypto";
import { errors, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../../lib/clock.ts";
import { pods, serviceaccounts } from "../kinds/generated/resources.ts";
import { ApiError } from "../kinds/status.ts";
import type { Context } from "../verbs/context.ts";
import { accountGroups, authenticatedGroup, serviceAccountPrefix, type User } from "./user.ts";

/** Who signs, and for whom a token is good that names nobody. */
export const issuer = "https://kubernetes.default.svc.cluster.local";

const algorithm = "ES256";

export interface Named {
  readonly name: string;
  readonly uid: string;
}

export interface TokenClaims {
  readonly namespace: string;
  readonly account: Named;
  /** The token ends with it. */
  readonly pod: Named | undefined;
  /** Those that may believe it; empty: the cluster's API. */
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
}

export interface IssuedToken {
  readonly token: string;
  readonly expirationSeconds: number;
  readonly expiresAtMs: number;
}

export interface ServiceAccountTokens {
  issue(claims: TokenClaims): Promise<IssuedToken>;
  /** Rejects with Unauthorized for what is not a token of the cluster's API, or not any more. */
  identify(token: string): Promise<User>;
}

/** `keyPem`: a private key on the curve P-256. */
export function serviceAccountTokens(
  keyPem: string,
  { cache, clock }: Pick<Context, "cache"> & { readonly clock: Clock },
): ServiceAccountTokens {
  const privateKey = createPrivateKey(keyPem);
  const publicKey = createPublicKey(privateKey);
  const kid = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  return {
    issue: async ({ namespace, account, pod, audiences, expirationSeconds }) => {
      const nowSeconds = Math.floor(clock.now() / 1000);
      const expires = nowSeconds + expirationSeconds;
      const bound = { namespace, serviceaccount: account, ...(pod === undefined ? {} : { pod }) };
      const token = await new SignJWT({ "kubernetes.io": bound })
        .setProtectedHeader({ alg: algorithm, kid })
        .setIssuer(issuer)
        .setSubject(`${serviceAccountPrefix}${namespace}:${account.name}`)
        .setAudience(audiences.length === 0 ? [issuer] : [...audiences])
        .setIssuedAt(nowSeconds)
        .setNotBefore(nowSeconds)
        .setExpirationTime(expires)
        .setJti(randomUUID())
        .sign(privateKey);
      return { token, expirationSeconds, expiresAtMs: expires * 1000 };
    },

    identify: async (token) => {
      const options = { issuer, audience: issuer, algorithms: [algorithm], currentDate: new Date(clock.now()) };
      const { payload } = await jwtVerify(token, publicKey, options).catch((cause: unknown) => {
        throw cause instanceof errors.JOSEError ? unauthorized(cause) : cause;
      });
      const bound = boundTo(payload["kubernetes.io"]);
      if (bound === undefined || !isThere(cache, bound)) throw unauthorized(undefined);
      const { namespace, account } = bound;
      return {
        name: `${serviceAccountPrefix}${namespace}:${account.name}`,
        groups: [...accountGroups(namespace), authenticatedGroup],
      };
    },
  };
}

type Bound = Pick<TokenClaims, "namespace" | "account" | "pod">;

function isThere(cache: Context["cache"], { namespace, account, pod }: Bound): boolean {
  const found = cache.get(serviceaccounts, `${namespace}/${account.name}`)?.object;
  if (found?.metadata?.uid !== account.uid) return false;
  return pod === undefined || cache.get(pods, `${namespace}/${pod.name}`)?.object.metadata?.uid === pod.uid;
}

// We signed it, but an earlier version of us may have.
function boundTo(claim: unknown): Bound | undefined {
  const { namespace, serviceaccount, pod } = asObject(claim);
  const account = named(serviceaccount);
  if (typeof namespace !== "string" || account === undefined) return undefined;
  return { namespace, account, pod: pod === undefined ? undefined : named(pod) };
}

function named(value: unknown): Named | undefined {
  const { name, uid } = asObject(value);
  return typeof name === "string" && typeof uid === "string" ? { name, uid } : undefined;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function unauthorized(cause: unknown): ApiError {
  return new ApiError("Unauthorized", "Unauthorized", { cause });
}
