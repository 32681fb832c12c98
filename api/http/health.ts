// /healthz, /livez and /readyz: one word for load balancers, a line for each check with ?verbose, each check by itself below the path.
// Source: Kubernetes documentation, "Kubernetes API health endpoints".
import { sendBytes } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { isTrue, noSuchResource } from "./request-info.ts";

export interface Check {
  readonly name: string;
  readonly isWell: boolean;
}

export async function sendHealth(
  exchange: Exchange,
  [path = "", one, ...more]: readonly string[],
  { isReady }: { readonly isReady: () => boolean },
): Promise<number> {
  const checks = checksOf(path, isReady()).filter(({ name }) => one === undefined || name === one);
  if (checks.length === 0 || more.length > 0) throw noSuchResource();
  const isWell = checks.every((check) => check.isWell);
  const text = isWell && !isTrue(exchange.query.get("verbose")) ? "ok" : healthText(path, checks);
  const code = isWell ? 200 : 503;
  await sendBytes(exchange, { code, body: Buffer.from(text), type: "text/plain; charset=utf-8" });
  return code;
}

/** A server that ends is not ready, but lives until it is gone. */
function checksOf(path: string, isReady: boolean): readonly Check[] {
  const ping = { name: "ping", isWell: true };
  return path === "livez" ? [ping] : [ping, { name: "shutdown", isWell: isReady }];
}

export function healthText(path: string, checks: readonly Check[]): string {
  const lines = checks.map(({ name, isWell }) => (isWell ? `[+]${name} ok` : `[-]${name} failed`));
  const verdict = checks.every(({ isWell }) => isWell) ? "passed" : "failed";
  return `${[...lines, `${path} check ${verdict}`].join("\n")}\n`;
}
