// How machines become nodes: a join token and a certificate request bring a client certificate; a certificate renews itself.

import { type KeyPair, signRequest } from "../../lib/certificate.ts";
import type { Clock } from "../../lib/clock.ts";
import { checkJoinToken, createJoinToken } from "../authentication/join-token.ts";
import { nodesGroup, nodeUserPrefix } from "../authentication/user.ts";
import { dns1123Subdomain } from "../kinds/schema/names.ts";
import { isObject } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import { validity } from "../pki/pki.ts";
import { sendJson } from "./answer.ts";
import { readBody } from "./body.ts";
import { type Door, type Exchange, header } from "./exchange.ts";

export interface JoinDoor {
  readonly authority: KeyPair;
  /** Names and addresses of the server's certificate, which no node may have. */
  readonly serverHosts: readonly string[];
  readonly limiter: FailureLimiter;
}

const tokenSecondsDefault = 24 * 3600;
const tokenSecondsMax = 365 * 24 * 3600;

/** POST /naru/v1/join {node, request}, with `Authorization: Bearer <token>`: answers {certificate, authority}, both PEM. */
export async function handleJoin(door: Door, exchange: Exchange, join: JoinDoor): Promise<number> {
  const address = exchange.request.socket.remoteAddress ?? "";
  join.limiter.check(address);
  const token = /^Bearer (\S{1,200})$/.exec(header(exchange, "authorization") ?? "")?.[1] ?? "";
  try {
    checkJoinToken(door.context, token);
  } catch (error) {
    join.limiter.failed(address);
    throw error;
  }
  return sign(door, exchange, join, undefined);
}

/** POST /naru/v1/renew {request}: a node's new certificate for its own name. */
export function handleRenew(door: Door, exchange: Exchange, join: JoinDoor): Promise<number> {
  const { name } = exchange.user;
  if (!name.startsWith(nodeUserPrefix)) throw new ApiError("Forbidden", "only a node renews its certificate here");
  return sign(door, exchange, join, name.slice(nodeUserPrefix.length));
}

/** POST /naru/v1/tokens {ttlSeconds?}: answers {token}. */
export async function handleToken(door: Door, exchange: Exchange, { authority }: JoinDoor): Promise<number> {
  const body = await readBody(exchange);
  const wanted = isObject(body) ? body["ttlSeconds"] : undefined;
  const ttlSeconds = wanted ?? tokenSecondsDefault;
  if (typeof ttlSeconds !== "number" || !(ttlSeconds > 0 && ttlSeconds <= tokenSecondsMax)) {
    throw new ApiError("BadRequest", `ttlSeconds: must be a number from 1 to ${tokenSecondsMax}`);
  }
  const { user } = exchange;
  const token = await createJoinToken(door.context, { ttlSeconds, authorityPem: authority.certificatePem, user });
  await sendJson(exchange, { token }, 201);
  return 201;
}

async function sign(door: Door, exchange: Exchange, join: JoinDoor, own: string | undefined): Promise<number> {
  const { authority, serverHosts } = join;
  const body = await readBody(exchange);
  const { node, request } = isObject(body) ? body : {};
  const name = own ?? node;
  if (typeof name !== "string" || typeof request !== "string") {
    throw new ApiError("BadRequest", "the body must be {node, request}: the node's name and a PEM certificate request");
  }
  const complaint = dns1123Subdomain(name)[0];
  if (complaint !== undefined)
    throw new ApiError("BadRequest", `node: Invalid value: ${JSON.stringify(name)}: ${complaint}`);
  const certificate = await signRequest(authority, request, {
    subject: { commonName: nodeUserPrefix + name, organizations: [nodesGroup] },
    usages: ["client", "server"],
    hosts: nodeHosts(name, exchange.request.socket.remoteAddress, serverHosts),
    ...validity(door.context.clock.now()),
  }).catch((cause: unknown) => {
    if (cause instanceof TypeError) throw new ApiError("BadRequest", `request: ${cause.message}`, { cause });
    throw cause;
  });
  await sendJson(exchange, { certificate, authority: authority.certificatePem }, 201);
  return 201;
}

/** A name that every node's certificate carries: whoever scrapes agents can verify them by it, wherever they are. */
export const agentHost = "naru-agent";

/** Names of the Service behind which every node is the cluster's registry. */
export const registryHosts = [
  "registry.naru-system",
  "registry.naru-system.svc",
  "registry.naru-system.svc.cluster.local",
];

/**
 * What an agent's own door is verified by: the common name, the node's name, and the address that the request came from, which is proven
 * where one that the node claims would not be. Nothing under which the server itself is reached: a node must not pass for the server.
 */
export function nodeHosts(
  node: string,
  remoteAddress: string | undefined,
  serverHosts: readonly string[],
): readonly string[] {
  const address = remoteAddress?.replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, "");
  const wanted = [agentHost, node, ...registryHosts, ...(address === undefined ? [] : [address])];
  return [...new Set(wanted)].filter((host) => !serverHosts.includes(host));
}

const failuresMax = 20;
const failuresWindowMs = 60_000;
const addressesMax = 1000;

/** Guessing tokens is slow: so many wrong ones per minute from one address, then none is looked at. Others are not kept out by it. */
export class FailureLimiter {
  readonly #clock: Clock;
  readonly #failures = new Map<string, readonly number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  check(address: string): void {
    if (this.#recent(address).length < failuresMax) return;
    throw new ApiError("TooManyRequests", "too many wrong join tokens, please try again later", {
      details: { retryAfterSeconds: failuresWindowMs / 1000 },
    });
  }

  failed(address: string): void {
    const failures = [...this.#recent(address), this.#clock.monotonicMs()];
    // Whoever failed last is last.
    this.#failures.delete(address);
    this.#failures.set(address, failures);
    if (this.#failures.size > addressesMax) this.#failures.delete(this.#failures.keys().next().value ?? "");
  }

  #recent(address: string): readonly number[] {
    const nowMs = this.#clock.monotonicMs();
    return (this.#failures.get(address) ?? []).filter((atMs) => nowMs - atMs < failuresWindowMs);
  }
}
