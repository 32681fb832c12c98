// One HTTP question of a probe or a hook, redirects within the same host followed.
import { http } from "../../lib/node-http.ts";
import type { HttpTarget } from "./probe-transport.ts";

export interface HttpAnswer {
  readonly status: number;
  /** Its beginning. */
  readonly body: string;
}

const bodyBytesMax = 10 * 1024;
const redirectsMax = 10;

/** Rejects when nothing answers before `limit` is aborted. */
export async function askHttp(target: HttpTarget, limit: AbortSignal): Promise<HttpAnswer> {
  let asked = target;
  for (let redirects = 0; ; redirects++) {
    const { location, ...answer } = await askOnce(asked, limit);
    const next = location === undefined ? undefined : redirected(asked, location);
    if (next === undefined) return answer;
    if (redirects >= redirectsMax) throw new Error(`stopped after ${redirectsMax} redirects`);
    asked = next;
  }
}

/** Where a redirect leads on the same host; undefined for another, whose health says nothing of this one: the redirect is the answer. */
export function redirected(target: HttpTarget, location: string): HttpTarget | undefined {
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const from = `${target.scheme}://${host}:${target.port}${target.path}`;
  if (!URL.canParse(location, from)) return undefined;
  const { protocol, hostname, port, pathname, search } = new URL(location, from);
  if (hostname !== new URL(from).hostname || (protocol !== "http:" && protocol !== "https:")) return undefined;
  const scheme = protocol === "https:" ? "https" : "http";
  return {
    ...target,
    scheme,
    port: port === "" ? (scheme === "https" ? 443 : 80) : Number(port),
    path: pathname + search,
  };
}

async function askOnce(
  target: HttpTarget,
  limit: AbortSignal,
): Promise<HttpAnswer & { readonly location: string | undefined }> {
  const { request } = target.scheme === "https" ? await import("node:https") : http;
  const headers: Record<string, string> = { "User-Agent": "kube-probe/1.36", Accept: "*/*", Connection: "close" };
  for (const { name, value } of target.headers) headers[name] = value;
  const { host, port, path } = target;
  return new Promise((resolve, reject) => {
    // A probe asks whether it lives, not who it is: as in Kubernetes.
    const options = { host, port, path, headers, signal: limit, agent: false, rejectUnauthorized: false };
    const asked = request(options, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      const { statusCode = 0 } = response;
      const finish = () =>
        resolve({
          status: statusCode,
          body: Buffer.concat(parts).subarray(0, bodyBytesMax).toString("utf8"),
          location: statusCode >= 300 && statusCode < 400 ? response.headers.location : undefined,
        });
      response.on("data", (chunk: Buffer) => {
        parts.push(chunk);
        size += chunk.length;
        if (size < bodyBytesMax) return;
        finish();
        response.destroy();
      });
      response.on("end", finish);
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
}
