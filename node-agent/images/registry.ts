// A client of the OCI distribution spec 1.1 (what both pulls and pushes stand on), over https, or http where a registry is local or set as insecure.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { backoffMs } from "../../lib/backoff.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { Authenticator, parseChallenges, TokenDenied } from "./authenticate.ts";
import { drop, type HttpClient, type HttpRequest, type HttpResponse, readBody } from "./http.ts";
import { PullError, type RegistryCredentials } from "./images.ts";
import { type Descriptor, manifestBytesMax, manifestMediaTypes } from "./manifest.ts";

export interface RegistrySettings {
  /** Takes http and any certificate. */
  readonly insecure?: boolean;
  /** Hosts or URLs to ask first, without credentials. */
  readonly mirror?: readonly string[];
  /** PEM file of an authority to trust. */
  readonly caFile?: string;
  /** Who asks when nobody else is named; the password is read each time, so that it can change. */
  readonly login?: { readonly username: string; readonly passwordFile: string };
  /** docker-credential-NAME gives name and password. */
  readonly credentialHelper?: string;
  /** PEM files of cosign's public keys: images that none of them signed are refused. */
  readonly signatureKeys?: readonly string[];
}

export interface RegistryOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly random: Random;
  /** "docker.io", "localhost:5000", or an URL. */
  readonly host: string;
  readonly settings: RegistrySettings;
  /** What messages call it; default: the host. */
  readonly shownHost?: string;
  /** A node of the cluster: with whose certificate it is asked, and what every request carries. */
  readonly client?: {
    readonly tls: NonNullable<HttpRequest["client"]>;
    readonly headers: Readonly<Record<string, string>>;
  };
}

export interface Access {
  readonly repository: string;
  readonly credentials: RegistryCredentials | undefined;
  /** What is done there besides reading: a token for it is another token. */
  readonly pushes?: true;
  /** Other repositories that are read on the way, for mounts. */
  readonly reads?: readonly string[];
}

export interface FetchedManifest {
  readonly digest: string;
  readonly bytes: Buffer;
}

/** What is asked for below a repository. */
export interface Asked {
  readonly method: HttpRequest["method"];
  /** "manifests/latest", "blobs/sha256:…"; or where the registry said that something goes on. */
  readonly path: string | URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpRequest["body"];
}

const triesMax = 3;
const retryWait = { firstMs: 300, maxMs: 5_000 };
/** Who asks for a longer wait is told to the user instead. */
const retryAfterMsMax = 30_000;
const accept = manifestMediaTypes.join(", ");

export class Registry {
  readonly host: string;
  readonly #options: RegistryOptions;
  readonly #authenticator: Authenticator;
  #base: Promise<URL> | undefined;
  #ca: Promise<string | undefined> | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.host = options.shownHost ?? options.host;
    this.#authenticator = new Authenticator(options.http, options.clock);
  }

  /** The digest that a tag has now, without its manifest; undefined when the registry does not say. */
  async resolve(access: Access, tag: string, signal?: AbortSignal): Promise<string | undefined> {
    const response = await this.#send(
      access,
      { method: "HEAD", path: `manifests/${tag}`, headers: { accept } },
      signal,
    );
    drop(response);
    const digest = response.headers["docker-content-digest"];
    return typeof digest === "string" ? digest : undefined;
  }

  /** By tag or digest; its bytes are verified against the digest that was asked for or announced. */
  async manifest(access: Access, reference: string, signal?: AbortSignal): Promise<FetchedManifest> {
    const what = `manifest ${reference} of ${this.host}/${access.repository}`;
    const response = await this.#send(
      access,
      { method: "GET", path: `manifests/${reference}`, headers: { accept } },
      signal,
    );
    const bytes = await readBody(response, manifestBytesMax).catch((cause) => {
      throw unavailable(this.host, `reading ${what}`, cause);
    });
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const announced = reference.startsWith("sha256:") ? reference : response.headers["docker-content-digest"];
    if (typeof announced === "string" && announced.startsWith("sha256:") && announced !== digest) {
      throw new PullError(
        "WrongDigest",
        `${what} should have digest ${announced} but has ${digest}: the registry or the way to it is broken`,
      );
    }
    return { digest, bytes };
  }

  /** A blob's bytes, exactly as many as announced; carries on where a connection broke. The caller verifies the digest. */
  async *blob(
    access: Access,
    descriptor: Descriptor,
    { fromByte = 0, signal }: { readonly fromByte?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Buffer, void, void> {
    const { digest, sizeBytes } = descriptor;
    let doneBytes = fromByte;
    for (let failures = 0; doneBytes < sizeBytes || sizeBytes === 0; ) {
      try {
        for await (const part of await this.#blobFrom(access, descriptor, doneBytes, signal)) {
          doneBytes += part.length;
          if (doneBytes > sizeBytes) {
            throw new PullError("WrongDigest", `${this.host} sends more for ${digest} than its ${sizeBytes} bytes`);
          }
          failures = 0;
          yield part;
        }
        if (doneBytes === sizeBytes) return;
        throw new Error(`connection ended after ${doneBytes} of ${sizeBytes} bytes`);
      } catch (cause) {
        signal?.throwIfAborted();
        if (cause instanceof PullError) throw cause;
        if (++failures >= triesMax) throw unavailable(this.host, `reading blob ${digest}`, cause);
        await this.pause(failures, signal);
      }
    }
  }

  async #blobFrom(
    access: Access,
    { digest }: Descriptor,
    fromByte: number,
    signal?: AbortSignal,
  ): Promise<AsyncIterable<Buffer>> {
    const headers: Record<string, string> = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` };
    const response = await this.#send(access, { method: "GET", path: `blobs/${digest}`, headers }, signal);
    if (fromByte === 0) return response.body;
    if (response.status === 206 && response.headers["content-range"]?.startsWith(`bytes ${fromByte}-`) === true)
      return response.body;
    if (response.status === 206) throw new Error(`${this.host} answers another range than it was asked for`);
    return skipBytes(response.body, fromByte);
  }

  /** Where it answers. */
  async base(signal?: AbortSignal): Promise<URL> {
    return await this.#findBase(signal);
  }

  /** Whether the registry takes this user; rejects with PullError. */
  async login(credentials: RegistryCredentials, signal?: AbortSignal): Promise<void> {
    const base = await this.#findBase(signal);
    const access = { repository: "", credentials };
    const response = await this.ask(access, { method: "GET", path: new URL("v2/", base), headers: {} }, signal);
    drop(response);
    if (response.status === 401 || response.status === 403)
      throw new PullError("Denied", `${this.host} does not take the name and password of ${credentials.username}`);
    if (response.status !== 200)
      throw new PullError("RegistryUnavailable", `registry ${this.host} answered ${response.status} to a login`);
  }

  /** The wait before another try. */
  async pause(failures: number, signal: AbortSignal | undefined): Promise<void> {
    await sleep(this.#options.clock, backoffMs(retryWait, failures, this.#options.random), signal);
  }

  /** Asks, with authentication, and again after failures that pass. Every answer but those is the caller's. */
  async ask(access: Access, request: Asked, signal?: AbortSignal): Promise<HttpResponse> {
    const { clock, random } = this.#options;
    for (let failures = 0; ; ) {
      const response = await this.#sendAuthenticated(access, request, signal);
      const { status } = response;
      const passing = status === 429 || status === 502 || status === 503 || status === 504;
      if (!passing) return response;
      const askedWaitMs = retryAfterMs(response, clock.now());
      drop(response);
      if (++failures >= triesMax || (askedWaitMs ?? 0) > retryAfterMsMax) {
        const when = askedWaitMs === undefined ? "" : ` for ${Math.ceil(askedWaitMs / 1000)} s`;
        const limited = status === 429 ? ` (too many requests: wait${when}, or use credentials)` : "";
        throw new PullError(
          "RegistryUnavailable",
          `registry ${this.host} answered ${status}${limited} for ${this.host}/${access.repository}/${shown(request)}`,
        );
      }
      await sleep(clock, Math.max(askedWaitMs ?? 0, backoffMs(retryWait, failures, random)), signal);
    }
  }

  async #send(access: Access, request: Asked, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const response = await this.ask(access, request, signal);
    const { status } = response;
    if (status === 200 || status === 206) return response;
    drop(response);
    if (status === 404)
      throw new PullError(
        "NotFound",
        `${this.host} has no ${shown(request).replace("manifests/", "image ")} in ${access.repository}: check name and tag`,
      );
    if (status === 401 || status === 403) throw denied(`${this.host}/${access.repository}`, status, access);
    throw new PullError(
      "RegistryUnavailable",
      `registry ${this.host} answered ${status} for ${this.host}/${access.repository}/${shown(request)}`,
    );
  }

  async #sendAuthenticated(access: Access, request: Asked, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const { repository, credentials, reads = [] } = access;
    const base = await this.#findBase(signal);
    const url = typeof request.path === "string" ? new URL(`v2/${repository}/${request.path}`, base) : request.path;
    const tls = await this.#tls(base);
    // A place that the registry named may be another's, who is a stranger to the credentials.
    const isOurs = url.origin === base.origin;
    const tokenFor = access.pushes === true ? [repository, ...reads].join(" ") : repository;
    const { method, body } = request;
    const send = async (authorization: string | undefined) => {
      const asked = { ...request.headers, ...this.#options.client?.headers };
      const headers = authorization === undefined || !isOurs ? asked : { ...asked, authorization };
      try {
        const sent = { ...tls, method, url, headers, ...(body === undefined ? {} : { body }) };
        return await this.#options.http.send(sent, signal);
      } catch (cause) {
        signal?.throwIfAborted();
        throw unavailable(this.host, `asking it for ${shownIn(repository, request)}`, cause);
      }
    };
    const response = await send(this.#authenticator.header(tokenFor, credentials));
    if (response.status !== 401 || !isOurs) return response;
    drop(response);
    this.#authenticator.forget(tokenFor, credentials);
    const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
    const scopes = reads.map((name) => `repository:${name}:pull`);
    const authorization = await this.#authenticator
      .answer(challenges, { repository: tokenFor, credentials, request: { ...tls, url }, scopes }, signal)
      .catch((cause) => {
        signal?.throwIfAborted();
        if (cause instanceof TokenDenied) throw denied(`${this.host}/${repository}`, 401, access, cause);
        throw unavailable(this.host, "asking for a token", cause);
      });
    if (authorization === undefined) return response;
    const answered = await send(authorization);
    if (answered.status === 401) this.#authenticator.forget(tokenFor, credentials);
    return answered;
  }

  // Where it answers; asked once when there is a choice of protocols.
  #findBase(signal: AbortSignal | undefined): Promise<URL> {
    this.#base ??= this.#probe(signal).catch((error) => {
      this.#base = undefined;
      throw error;
    });
    return this.#base;
  }

  async #probe(signal: AbortSignal | undefined): Promise<URL> {
    const candidates = baseUrls(this.#options.host, this.#options.settings.insecure === true);
    const [only] = candidates;
    if (candidates.length === 1 && only !== undefined) return only;
    const failures: unknown[] = [];
    for (const base of candidates) {
      try {
        const response = await this.#options.http.send(
          { ...(await this.#tls(base)), method: "GET", url: new URL("v2/", base), headers: {} },
          signal,
        );
        drop(response);
        // Go's TLS servers answer plain http with 400.
        if (response.status !== 400) return base;
        failures.push(new Error(`${base.protocol.slice(0, -1)} is answered with 400`));
      } catch (cause) {
        signal?.throwIfAborted();
        failures.push(cause);
      }
    }
    throw unavailable(this.host, "asking it", failures[0]);
  }

  async #tls(base: URL): Promise<Pick<HttpRequest, "ca" | "insecure" | "client">> {
    const { client, settings } = this.#options;
    if (client !== undefined) return { client: client.tls };
    const { caFile, insecure } = settings;
    this.#ca ??= caFile === undefined ? Promise.resolve(undefined) : readFile(caFile, "utf8");
    const ca = await this.#ca.catch((cause) => {
      throw new PullError("RegistryUnavailable", `certificate authority of ${this.host} cannot be read: ${caFile}`, {
        cause,
      });
    });
    return { ...(ca === undefined ? {} : { ca }), insecure: insecure === true || isLoopback(base.hostname) };
  }
}

/** URLs to try for a registry's host, the likeliest first. */
export function baseUrls(host: string, insecure: boolean): readonly URL[] {
  if (/^https?:\/\//.test(host)) return [new URL(host.endsWith("/") ? host : `${host}/`)];
  const name = host === "docker.io" ? "registry-1.docker.io" : host;
  const [plain, secure] = [new URL(`http://${name}/`), new URL(`https://${name}/`)];
  if (isLoopback(plain.hostname)) return [plain, secure];
  return insecure ? [secure, plain] : [secure];
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

async function* skipBytes(body: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const part of body) {
    if (part.length > left) yield part.subarray(left);
    left = Math.max(0, left - part.length);
  }
}

// Seconds or a date (RFC 9110, section 10.2.3).
function retryAfterMs(response: HttpResponse, nowMs: number): number | undefined {
  const text = response.headers["retry-after"];
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function shown({ path }: Asked): string {
  return typeof path === "string" ? path : path.pathname;
}

function shownIn(repository: string, request: Asked): string {
  return typeof request.path === "string" && repository !== "" ? `${repository}/${request.path}` : shown(request);
}

export function denied(what: string, status: number, { credentials, pushes }: Access, cause?: unknown): PullError {
  const who = credentials === undefined ? "without credentials" : `as ${credentials.username}`;
  return new PullError(
    "Denied",
    `${pushes === true ? "pushing" : "pulling"} ${what} ${who} is denied (${status}): the repository does not exist, or needs other credentials`,
    { cause },
  );
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "name service does not answer",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  ECONNRESET: "connection was reset",
  ETIMEDOUT: "no answer",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed: give its authority (caFile)",
  SELF_SIGNED_CERT_IN_CHAIN: "its authority is not known: give it (caFile)",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its authority is not known: give it (caFile)",
};

function unavailable(host: string, doing: string, cause: unknown): PullError {
  if (cause instanceof PullError) return cause;
  return new PullError("RegistryUnavailable", `registry ${host} failed ${doing}: ${whyNoAnswer(host, cause)}`, {
    cause,
  });
}

/** In words, with the way out where there is one. */
export function whyNoAnswer(host: string, cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  // OpenSSL's words for bytes that are no TLS.
  if (message.includes("wrong version number"))
    return `it speaks no TLS: plain HTTP has to be allowed for it (--insecure-registry ${host}, where the node is started)`;
  return reasons[code] ?? message;
}
