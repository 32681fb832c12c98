// The cluster's keys in the server's data folder: made at the first start, renewed before they end.
import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describeCertificate, type KeyPair, makeAuthority, makeCertificate } from "../../lib/certificate.ts";
import type { Subject } from "../../lib/certificate-request.ts";
import type { Clock } from "../../lib/clock.ts";

const dayMs = 24 * 60 * 60 * 1000;
const authorityDays = 3650;
const certificateDays = 365;
/** Certificates are made anew when fewer days are left. */
const renewDays = 90;
/** Clocks of machines differ a little. */
const skewMs = 60 * 60 * 1000;

export interface PkiOptions {
  /** `<data>/pki`; made with mode 0700. */
  readonly folder: string;
  /** Names and addresses under which the server is reached, beside the usual ones. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
}

export interface Pki {
  readonly authority: KeyPair;
  readonly server: KeyPair;
  /** Group system:masters: may do everything. */
  readonly admin: KeyPair;
  /** What Prometheus presents: may read what is needed to find and scrape targets. */
  readonly prometheus: KeyPair;
  /** Signs the tokens of service accounts. */
  readonly tokenKeyPem: string;
}

const usualHosts = [
  "localhost",
  "127.0.0.1",
  "::1",
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "10.96.0.1",
];

/** Reads the keys, making those that are missing, near their end or for other hosts. */
export async function openPki({ folder, hosts, clock }: PkiOptions): Promise<Pki> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const store = { folder, nowMs: clock.now() };
  const authority = await keep(store, "ca", [], () =>
    makeAuthority(
      { commonName: "naru-ca", organizations: ["naru"] },
      store.nowMs - skewMs,
      store.nowMs + authorityDays * dayMs,
    ),
  );
  const serverHosts = [...new Set([...usualHosts, ...hosts])];
  const client = (name: string, subject: Subject) =>
    keep(store, name, [], () => issue(authority, store.nowMs, subject, "client", []));
  const server = keep(store, "server", serverHosts, () =>
    issue(authority, store.nowMs, { commonName: "naru-server", organizations: ["naru"] }, "server", serverHosts),
  );
  const admin = client("admin", { commonName: "naru-admin", organizations: ["system:masters"] });
  const prometheus = client("prometheus", { commonName: "prometheus", organizations: ["naru:monitoring"] });
  const tokens = keep(store, "service-accounts", [], () =>
    makeAuthority(
      { commonName: "naru-tokens", organizations: ["naru"] },
      store.nowMs - skewMs,
      store.nowMs + authorityDays * dayMs,
    ),
  );
  return {
    authority,
    server: await server,
    admin: await admin,
    prometheus: await prometheus,
    tokenKeyPem: (await tokens).keyPem,
  };
}

/** A client certificate for a component or person; a year long. */
export function issueClient(authority: KeyPair, nowMs: number, subject: Subject): Promise<KeyPair> {
  return issue(authority, nowMs, subject, "client", []);
}

/** Start and end of what is signed now, ms since the epoch. */
export function validity(nowMs: number): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  return { notBeforeMs: nowMs - skewMs, notAfterMs: nowMs + certificateDays * dayMs };
}

/** Whether a certificate should be replaced now. */
function isNearEnd(certificatePem: string, nowMs: number): boolean {
  const { notAfterMs, notBeforeMs } = describeCertificate(certificatePem);
  return nowMs < notBeforeMs || notAfterMs - nowMs < Math.min(renewDays * dayMs, (notAfterMs - notBeforeMs) / 3);
}

function issue(
  authority: KeyPair,
  nowMs: number,
  subject: Subject,
  usage: "server" | "client",
  hosts: readonly string[],
): Promise<KeyPair> {
  return makeCertificate(authority, { subject, usages: [usage], hosts, ...validity(nowMs) });
}

async function keep(
  { folder, nowMs }: { readonly folder: string; readonly nowMs: number },
  name: string,
  hosts: readonly string[],
  make: () => Promise<KeyPair>,
): Promise<KeyPair> {
  const present = await read(folder, name);
  if (present !== undefined && isFit(present, hosts, nowMs)) return present;
  const made = await make();
  // One file holds both, so that no crash leaves a key beside another key's certificate.
  await writeSecret(join(folder, `${name}.pem`), made.keyPem + made.certificatePem);
  return made;
}

function isFit(pair: KeyPair, hosts: readonly string[], nowMs: number): boolean {
  const present = describeCertificate(pair.certificatePem).hosts.map(canonical);
  return !isNearEnd(pair.certificatePem, nowMs) && hosts.every((host) => present.includes(canonical(host)));
}

/** An IPv6 address can be written in many ways. */
function canonical(host: string): string {
  return host.includes(":") ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host;
}

async function read(folder: string, name: string): Promise<KeyPair | undefined> {
  const path = join(folder, `${name}.pem`);
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw new Error(`read key ${path}`, { cause });
  });
  if (text === undefined) return undefined;
  const start = text.indexOf("-----BEGIN CERTIFICATE-----");
  if (start <= 0)
    throw new Error(`${path} does not hold a key and a certificate: restore it, or remove it to have a new one made`);
  return { keyPem: text.slice(0, start), certificatePem: text.slice(start) };
}

/** Readable by its owner only, whole or not at all, and durable. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const work = `${path}.${randomUUID()}`;
  const file = await open(work, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(work, path);
  // The new name is on the disk with its folder: nodes may trust this key before the system writes it by itself.
  await using folder = await open(dirname(path), "r");
  await folder.sync();
}
