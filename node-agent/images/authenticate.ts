// How a registry wants to be asked: WWW-Authenticate parsed, tokens fetched and kept (distribution spec, "token" authentication).
import type { Clock } from "../../lib/clock.ts";
import { drop, type HttpClient, type HttpRequest, readBody } from "./http.ts";
import type { RegistryCredentials } from "./images.ts";
import { isObject } from "./manifest.ts";

export interface Challenge {
  /** Lower case: "basic", "bearer". */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const tokenBytesMax = 1024 * 1024;
const tokenLifeSecondsDefault = 60;
const tokenSpareMs = 5_000;
const tokensMax = 1_000;

/** All challenges of a WWW-Authenticate header (RFC 9110, section 11.6.1); what can't be read is left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  // Blanks and commas as one: what can be taken in two ways takes a stranger's header the square of its length.
  const token = /[\s,]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/y;
  for (let found = token.exec(header); found !== null; found = token.exec(header)) {
    const [, name = "", quoted, plain] = found;
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value });
  }
  return challenges;
}

/** Authorization headers of one registry, by repository and user. */
export class Authenticator {
  readonly #http: HttpClient;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly header: string; readonly untilMs: number }>();

  constructor(http: HttpClient, clock: Clock) {
    this.#http = http;
    this.#clock = clock;
  }

  /** What worked before, while it is good. */
  header(repository: string, credentials: RegistryCredentials | undefined): string | undefined {
    const known = this.#known.get(keyOf(repository, credentials));
    return known !== undefined && known.untilMs > this.#clock.monotonicMs() ? known.header : undefined;
  }

  /** Answers a 401; undefined when there is nothing to answer with. Rejects when the token server fails. */
  async answer(
    challenges: readonly Challenge[],
    ask: {
      readonly repository: string;
      readonly credentials: RegistryCredentials | undefined;
      readonly request: Pick<HttpRequest, "url" | "ca" | "insecure">;
      /** Besides what the challenge names: "repository:other:pull". */
      readonly scopes?: readonly string[];
    },
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const bearer = challenges.find(
      (challenge) => challenge.scheme === "bearer" && challenge.parameters["realm"] !== undefined,
    );
    if (bearer !== undefined) {
      const { token, lifeMs } = await this.#fetchToken(bearer, ask, signal);
      return this.#remember(ask.repository, ask.credentials, `Bearer ${token}`, lifeMs);
    }
    if (ask.credentials === undefined || !challenges.some((challenge) => challenge.scheme === "basic"))
      return undefined;
    return this.#remember(ask.repository, ask.credentials, basic(ask.credentials), Number.POSITIVE_INFINITY);
  }

  forget(repository: string, credentials: RegistryCredentials | undefined): void {
    this.#known.delete(keyOf(repository, credentials));
  }

  #remember(repository: string, credentials: RegistryCredentials | undefined, header: string, lifeMs: number): string {
    if (this.#known.size >= tokensMax) this.#known.clear();
    this.#known.set(keyOf(repository, credentials), { header, untilMs: this.#clock.monotonicMs() + lifeMs });
    return header;
  }

  async #fetchToken(
    challenge: Challenge,
    { repository, credentials, request, scopes = [] }: Parameters<Authenticator["answer"]>[1],
    signal: AbortSignal | undefined,
  ): Promise<{ token: string; lifeMs: number }> {
    const url = new URL(challenge.parameters["realm"] ?? "");
    if (credentials !== undefined && url.protocol !== "https:" && request.url.protocol === "https:") {
      throw new Error(`${request.url.host} wants the password sent in the clear to ${url.host}`);
    }
    const service = challenge.parameters["service"];
    if (service !== undefined) url.searchParams.set("service", service);
    const scope = challenge.parameters["scope"] ?? (repository === "" ? undefined : `repository:${repository}:pull`);
    if (scope !== undefined) url.searchParams.set("scope", scope);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    const headers = credentials === undefined ? {} : { authorization: basic(credentials) };
    const response = await this.#http.send({ ...request, method: "GET", url, headers }, signal);
    if (response.status === 401 || response.status === 403) {
      drop(response);
      throw new TokenDenied(`token server ${url.host} answered ${response.status}`);
    }
    if (response.status !== 200) {
      drop(response);
      throw new Error(`token server ${url.host} answered ${response.status}`);
    }
    return parseToken(await readBody(response, tokenBytesMax), url.host);
  }
}

/** The token server knows the user and says no. */
export class TokenDenied extends Error {}

function parseToken(body: Buffer, host: string): { token: string; lifeMs: number } {
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString());
  } catch (cause) {
    throw new Error(`token server ${host} answered no JSON`, { cause });
  }
  const fields = isObject(answer) ? answer : {};
  const token = fields["token"] ?? fields["access_token"];
  // Letters of RFC 6750, so that it cannot bring a header of its own.
  if (typeof token !== "string" || !/^[\w.~+/=-]+$/.test(token)) throw new Error(`token server ${host} gave no token`);
  const seconds = typeof fields["expires_in"] === "number" ? fields["expires_in"] : tokenLifeSecondsDefault;
  return { token, lifeMs: Math.max(0, seconds * 1000 - tokenSpareMs) };
}

function basic({ username, password }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function keyOf(repository: string, credentials: RegistryCredentials | undefined): string {
  return JSON.stringify([repository, credentials?.username, credentials?.password]);
}
