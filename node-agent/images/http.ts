// HTTP as registries need it: kept-alive connections, redirects with a bound, and no wait without an end.
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";
import { rootCertificates } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import { http } from "../../lib/node-http.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** PEM of an authority to trust besides the system's. */
  readonly ca?: string;
  /** Takes any certificate, and redirects from https to http. */
  readonly insecure?: boolean;
  /** Who asks, and the only authority that is believed then: peers within the cluster. */
  readonly client?: { readonly cert: string; readonly key: string; readonly ca: string };
  /** What is sent; a header tells its length. Redirects are not followed then. */
  readonly body?: () => AsyncIterable<Uint8Array>;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  /** Who answered, after redirects. */
  readonly url: URL;
}

const redirectsMax = 5;
const headersWaitMsMax = 30_000;
const bodyIdleMsMax = 60_000;
const connectionsMax = 16;

export class HttpClient {
  readonly #clock: Clock;
  readonly #agents = new Map<string, Agent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Follows redirects; other statuses are the caller's. Rejects when no answer comes. */
  async send(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    let { url, headers } = request;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#sendOnce({ ...request, url, headers }, signal);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response;
      if (request.body !== undefined) return response;
      drop(response);
      if (redirects === redirectsMax) throw new Error(`${request.url.host} redirects more than ${redirectsMax} times`);
      const next = new URL(location, url);
      checkRedirect(url, next, request.insecure === true);
      // The other host is a stranger to the credentials.
      if (next.origin !== url.origin) headers = without(headers, "authorization");
      url = next;
    }
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #sendOnce(request: HttpRequest, signal: AbortSignal | undefined): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      const { method, url, headers } = request;
      const module = url.protocol === "https:" ? https : http;
      const sent = module.request(url, {
        method,
        headers: { ...headers, "user-agent": "naru" },
        agent: this.#agentFor(request),
        ...(signal === undefined ? {} : { signal }),
      });
      let answered = false;
      const wait = this.#awaitAnswer(sent, url.host);
      sent.on("error", (error) => {
        wait.cancel();
        reject(error);
      });
      sent.on("response", (body) => {
        answered = true;
        wait.cancel();
        this.#watchIdle(body, url.host);
        resolve({ status: body.statusCode ?? 0, headers: body.headers, body, url });
      });
      if (request.body === undefined) sent.end();
      else
        pipeline(request.body(), sent).catch((error) => {
          // An answer that came before the end of what was sent says more than the broken connection.
          if (!answered) reject(error);
        });
    });
  }

  // Counts from the last byte that went out.
  #awaitAnswer(sent: ClientRequest, host: string): { cancel(): void } {
    let seenBytes = -1;
    const check = () => {
      const bytes = sent.socket?.bytesWritten ?? 0;
      if (bytes === seenBytes || sent.writableFinished) {
        sent.destroy(new Error(`${host} did not answer within ${headersWaitMsMax / 1000} s`));
        return;
      }
      seenBytes = bytes;
      timer = this.#clock.after(headersWaitMsMax, check);
    };
    let timer = this.#clock.after(headersWaitMsMax, check);
    return { cancel: () => timer.cancel() };
  }

  // Checks now and then whether any byte came, instead of setting a timer for each.
  #watchIdle(body: IncomingMessage, host: string): void {
    let seenBytes = -1;
    const check = () => {
      const bytes = body.socket?.bytesRead ?? 0;
      // Bytes that wait for a slow reader are no fault of the registry.
      if (bytes === seenBytes && body.readableLength === 0) {
        body.destroy(new Error(`${host} sent nothing for ${bodyIdleMsMax / 1000} s`));
        return;
      }
      seenBytes = bytes;
      timer = this.#clock.after(bodyIdleMsMax, check);
    };
    let timer = this.#clock.after(bodyIdleMsMax, check);
    body.once("close", () => timer.cancel());
  }

  #agentFor({ url, ca, insecure, client }: HttpRequest): Agent {
    const key = `${url.protocol} ${insecure === true} ${ca ?? ""} ${client?.cert ?? ""}`;
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const options = { keepAlive: true, maxSockets: connectionsMax };
    const agent =
      url.protocol === "https:"
        ? new https.Agent({
            ...options,
            rejectUnauthorized: insecure !== true,
            ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
            ...client,
          })
        : new http.Agent(options);
    this.#agents.set(key, agent);
    return agent;
  }
}

/** Reads a whole body; rejects when it is larger than `bytesMax`. */
export async function readBody(response: HttpResponse, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`answer is larger than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Gives up a body that nobody reads; short ones leave their connection usable. */
export function drop(response: HttpResponse): void {
  response.body.on("error", () => {});
  if (Number(response.headers["content-length"] ?? 0) <= 64 * 1024) response.body.resume();
  else response.body.destroy();
}

function checkRedirect(from: URL, to: URL, insecure: boolean): void {
  if (to.protocol !== "https:" && to.protocol !== "http:") throw new Error(`${from.host} redirects to ${to.protocol}`);
  if (from.protocol === "https:" && to.protocol === "http:" && !insecure) {
    throw new Error(`${from.host} redirects from https to http, at ${to.host}`);
  }
}

function without(headers: Readonly<Record<string, string>>, name: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key.toLowerCase() !== name));
}
