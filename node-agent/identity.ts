// The node's certificate: kept on disk, asked for with a join token the first time, renewed before it ends.
import { X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NodeIdentity } from "../client/join.ts";
import { type BackoffLimits, backoffMs } from "../lib/backoff.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { messageOf } from "./pods/start-problem.ts";

export interface IdentityOptions {
  readonly dir: string;
  /** "https://10.0.0.1:6443" */
  readonly server: string;
  readonly nodeName: string;
  readonly joinToken: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const file = "identity.json";
const joinBackoff: BackoffLimits = { firstMs: 200, maxMs: 5000 };

/** Waits for a server that cannot be reached yet; rejects when it refuses. */
export async function openIdentity(options: IdentityOptions, signal: AbortSignal): Promise<NodeIdentity> {
  const { dir, nodeName, joinToken, server } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const known = await readIdentity(dir);
  if (known !== undefined && isFor(known, nodeName) && lifeLeft(known, options.clock.now()) > 0) return known;
  if (joinToken === undefined) {
    const why = known === undefined ? "it has no certificate yet" : `its certificate is of another node or has ended`;
    throw new Error(
      `this machine is no node of the cluster: ${why}; join it with --join TOKEN (naru token prints one)`,
    );
  }
  for (let failures = 0; ; failures++) {
    try {
      // Loaded when needed: most starts find a certificate.
      const { joinCluster } = await import("../client/join.ts");
      const identity = await joinCluster({ server, token: joinToken, node: nodeName, signal });
      await writeIdentity(dir, identity);
      return identity;
    } catch (error) {
      signal.throwIfAborted();
      if (!isUnreachable(error)) throw new Error(`join ${server}: ${messageOf(error)}`, { cause: error });
      if (failures % 20 === 0) options.log.warn({ server, error: messageOf(error) }, "server cannot be reached yet");
      await sleep(options.clock, backoffMs(joinBackoff, failures, options.random), signal);
    }
  }
}

/** A new certificate when less than a third of its life is left or it cannot serve /metrics; undefined when there is time. */
export async function renewIfDue(
  options: IdentityOptions,
  identity: NodeIdentity,
  signal: AbortSignal,
): Promise<NodeIdentity | undefined> {
  if (lifeLeft(identity, options.clock.now()) > 1 / 3 && isForServing(identity)) return undefined;
  const { renewIdentity } = await import("../client/join.ts");
  const renewed = await renewIdentity(options.server, options.nodeName, identity, signal);
  await writeIdentity(options.dir, renewed);
  return renewed;
}

async function readIdentity(dir: string): Promise<NodeIdentity | undefined> {
  const text = await readFile(join(dir, file), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { certificatePem, keyPem, authorityPem } = JSON.parse(text) as NodeIdentity;
    new X509Certificate(certificatePem);
    return { certificatePem, keyPem, authorityPem };
  } catch {
    await rm(join(dir, file), { force: true });
    return undefined;
  }
}

async function writeIdentity(dir: string, identity: NodeIdentity): Promise<void> {
  const path = join(dir, file);
  await writeFile(`${path}.new`, JSON.stringify(identity), { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}

function isFor({ certificatePem }: NodeIdentity, nodeName: string): boolean {
  return new X509Certificate(certificatePem).subject.split("\n").includes(`CN=system:node:${nodeName}`);
}

// Certificates of earlier versions are for dialling the server only, or not for the registry.
function isForServing({ certificatePem }: NodeIdentity): boolean {
  return new X509Certificate(certificatePem).checkHost("registry.naru-system.svc") !== undefined;
}

// Share of its life, from 1 to 0.
function lifeLeft({ certificatePem }: NodeIdentity, nowMs: number): number {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return (to - nowMs) / (to - from);
}

function isUnreachable(error: unknown): boolean {
  const codes = [
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EPIPE",
    "ENOTFOUND",
    "EAI_AGAIN",
  ];
  for (let at = error; at instanceof Error; at = at.cause) {
    if (codes.includes((at as NodeJS.ErrnoException).code ?? "")) return true;
    if (at instanceof AggregateError && at.errors.some(isUnreachable)) return true;
  }
  return false;
}
