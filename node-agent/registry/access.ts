// Who comes to the registry, and what they may do there.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import { RegistryError } from "./errors.ts";

export interface Caller {
  readonly name: string;
  readonly groups: readonly string[];
}

export type Verb = "get" | "create" | "delete";

/** What the API says of a token; undefined: it is nobody's. */
export type ReviewToken = (
  token: string,
  wanted: { readonly verb: Verb; readonly repository: string },
  signal: AbortSignal,
) => Promise<{ readonly caller: Caller; readonly allowed: boolean } | undefined>;

export interface Access {
  /** Rejects with RegistryError when nobody, or somebody who may not. */
  check(request: IncomingMessage, wanted: { readonly verb: Verb; readonly repository: string }): Promise<Caller>;
}

/** Nodes make images too, and may give any image to others anyway. */
const trustedGroups = ["system:masters", "system:nodes"];
const reviewMsMax = 30_000;
const reviewsMax = 1000;
/** How long the API may take for one. */
const answerMsMax = 10_000;

export function openAccess(review: ReviewToken, clock: Clock): Access {
  const reviews = new Map<string, { readonly atMs: number; readonly answer: ReturnType<ReviewToken> }>();
  const ask = async (token: string, wanted: Parameters<ReviewToken>[1]) => {
    const late = new AbortController();
    const timer = clock.after(answerMsMax, () => late.abort(new Error(`no answer within ${answerMsMax / 1000} s`)));
    try {
      return await review(token, wanted, late.signal);
    } finally {
      timer.cancel();
    }
  };
  const reviewed = (token: string, wanted: Parameters<ReviewToken>[1]) => {
    const key = createHash("sha256").update(`${wanted.verb} ${wanted.repository}\n${token}`).digest("hex");
    const known = reviews.get(key);
    if (known !== undefined && clock.monotonicMs() - known.atMs < reviewMsMax) return known.answer;
    if (reviews.size >= reviewsMax) reviews.clear();
    const answer = ask(token, wanted);
    reviews.set(key, { atMs: clock.monotonicMs(), answer });
    answer.catch(() => reviews.delete(key));
    return answer;
  };
  return {
    check: async (request, wanted) => {
      const token = tokenOf(request.headers.authorization);
      const certified = callerOf(request);
      if (certified !== undefined && token === undefined) {
        if (isAllowed(certified, wanted)) return certified;
        throw forbidden(certified, wanted);
      }
      if (token === undefined)
        throw new RegistryError(
          401,
          "UNAUTHORIZED",
          "come with a certificate of the cluster, or with a token as password",
        );
      const found = await reviewed(token, wanted).catch((cause: unknown) => {
        throw new RegistryError(503, "UNAVAILABLE", "the cluster's API cannot be asked for the token", { cause });
      });
      if (found === undefined)
        throw new RegistryError(401, "UNAUTHORIZED", "the token is unknown, for others, or has ended");
      if (found.allowed || isAllowed(found.caller, wanted)) return found.caller;
      throw forbidden(found.caller, wanted);
    },
  };
}

/**
 * Everybody of the cluster may pull, as every node may run every image of it. Service accounts push below the name of their own
 * namespace; roles of the API (images.naru.dev) allow more.
 */
export function isAllowed(
  { groups }: Caller,
  { verb, repository }: { readonly verb: Verb; readonly repository: string },
): boolean {
  if (verb === "get" || groups.some((group) => trustedGroups.includes(group))) return true;
  const [namespace = "", ...rest] = repository.split("/");
  return rest.length > 0 && groups.includes(`system:serviceaccounts:${namespace}`);
}

/** As a verified client certificate says: CN and each O. */
export function callerOf(request: IncomingMessage): Caller | undefined {
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { readonly CN?: unknown; readonly O?: unknown } | undefined;
  if (typeof subject?.CN !== "string" || subject.CN === "") return undefined;
  const { O: organization = [] } = subject;
  return {
    name: subject.CN,
    groups: (Array.isArray(organization) ? organization : [organization]).map(String),
  };
}

/** Of "Bearer TOKEN", or of "Basic", where it is the password, whoever the user. */
export function tokenOf(header: string | undefined): string | undefined {
  const [, scheme = "", value = ""] = /^(\w+) +(\S{1,16384})$/.exec(header ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const text = Buffer.from(value, "base64").toString();
  const password = text.slice(text.indexOf(":") + 1);
  return text.includes(":") && password !== "" ? password : undefined;
}

function forbidden({ name }: Caller, { verb, repository }: { verb: Verb; repository: string }): RegistryError {
  const words = { get: "pull from", create: "push to", delete: "delete in" };
  return new RegistryError(
    403,
    "DENIED",
    `${name} may not ${words[verb]} ${repository}: service accounts push below the name of their namespace, others need a role for images.naru.dev`,
  );
}
