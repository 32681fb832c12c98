// A client of the OCI distribution spec 1.1 (pull side), over https, or http where a registry is local or set as insecure.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { backoffMs } from "../../lib/backoff.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { Authenticator, parseChallenges, TokenDenied } from "./authenticate.ts";
import { drop, type HttpClient, type HttpResponse, readBody } from "./http.ts";
import { PullError, type RegistryCredentials } from "./images.ts";
import { type Descriptor, manifestBytesMax, manifestMediaTypes } from "./manifest.ts";

export interface RegistrySettings {
  /** Takes http and any certificate. */
  readonly insecure?: boolean;
  /** Hosts or URLs to ask first, without credentials. */
  readonly mirror?: readonly string[];
  /** PEM file of an authority to trust. */
  readonly caFile?: string;
}

export interface RegistryOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly random: Random;
  /** "docker.io", "localhost:5000", or an URL. */
  readonly host: string;
  readonly settings: RegistrySettings;
}

export interface Access {
  readonly repository: string;
  readonly credentials: RegistryCredentials | undefined;
}

export interface FetchedManifest {
  readonly digest: string;
  readonly bytes: Buffer;
}

/** What is asked for below a repository. */
interface Asked {
  readonly method: "GET" | "HEAD";
  /** "manifests/latest", "blobs/sha256:…" */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const triesMax = 3;
const retryWait = { firstMs: 300, maxMs: 5_000 };
const accept = manifestMediaTypes.join(", ");

export class Registry {
  readonly host: string;
  readonly #options: RegistryOptions;
  readonly #authenticator: Authenticator;
  #base: Promise<URL> | undefined;
  #ca: Promise<string | undefined> | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.host = options.host;
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
  async *blob(access: Access, descriptor: Descriptor, signal?: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const { digest, sizeBytes } = descriptor;
    let doneBytes = 0;
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
        await sleep(this.#options.clock, backoffMs(retryWait, failures, this.#options.random), signal);
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

  // One request with its authentication, and again after failures that pass.
  async #send(access: Access, request: Asked, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const what = `${this.host}/${access.repository}`;
    for (let failures = 0; ; ) {
      const response = await this.#sendAuthenticated(access, request, signal);
      const { status } = response;
      if (status === 200 || status === 206) return response;
      drop(response);
      if (status === 404)
        throw new PullError(
          "NotFound",
          `${this.host} has no ${request.path.replace("manifests/", "image ")} in ${access.repository}: check name and tag`,
        );
      if (status === 401 || status === 403) throw denied(what, status, access);
      const passing = status === 429 || status === 502 || status === 503 || status === 504;
      if (!passing || ++failures >= triesMax) {
        const limited = status === 429 ? " (too many requests: wait, or use credentials)" : "";
        throw new PullError(
          "RegistryUnavailable",
          `registry ${this.host} answered ${status}${limited} for ${what}/${request.path}`,
        );
      }
      await sleep(this.#options.clock, backoffMs(retryWait, failures, this.#options.random), signal);
    }
  }

  async #sendAuthenticated(access: Access, request: Asked, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const { repository, credentials } = access;
    const base = await this.#findBase(signal);
    const url = new URL(`v2/${repository}/${request.path}`, base);
    const tls = await this.#tls(base);
    const send = async (authorization: string | undefined) => {
      const headers = authorization === undefined ? request.headers : { ...request.headers, authorization };
      try {
        return await this.#options.http.send({ ...tls, method: request.method, url, headers }, signal);
      } catch (cause) {
        signal?.throwIfAborted();
        throw unavailable(this.host, "asking it", cause);
      }
    };
    const response = await send(this.#authenticator.header(repository, credentials));
    if (response.status !== 401) return response;
    drop(response);
    this.#authenticator.forget(repository, credentials);
    const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
    const authorization = await this.#authenticator
      .answer(challenges, { repository, credentials, request: { ...tls, url } }, signal)
      .catch((cause) => {
        signal?.throwIfAborted();
        if (cause instanceof TokenDenied) throw denied(`${this.host}/${repository}`, 401, access, cause);
        throw unavailable(this.host, "asking for a token", cause);
      });
    if (authorization === undefined) return response;
    const answered = await send(authorization);
    if (answered.status === 401) this.#authenticator.forget(repository, credentials);
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
    const candidates = baseUrls(this.host, this.#options.settings.insecure === true);
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

  async #tls(base: URL): Promise<{ readonly ca?: string; readonly insecure: boolean }> {
    const { caFile, insecure } = this.#options.settings;
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

function denied(what: string, status: number, { credentials }: Access, cause?: unknown): PullError {
  const who = credentials === undefined ? "without credentials" : `as ${credentials.username}`;
  return new PullError(
    "Denied",
    `pulling ${what} ${who} is denied (${status}): the repository does not exist, or needs other credentials`,
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
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const why = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new PullError("RegistryUnavailable", `registry ${host} failed ${doing}: ${why}`, { cause });
}
