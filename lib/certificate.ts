// Makes X.509 certificates: ECDSA P-256 keys, signed by the cluster's authority.
// Sources: RFC 5280 (profile), RFC 2986 (requests).
import type { webcrypto } from "node:crypto";
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { Subject } from "./certificate-request.ts";

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface CertificateOptions {
  readonly subject: Subject;
  /** A node's certificate is for both: it dials the server, and Prometheus dials it. */
  readonly usages: readonly ("server" | "client")[];
  /** Host names and IP addresses under which its owner is dialled. */
  readonly hosts: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const serialBytes = 16;

cryptoProvider.set(globalThis.crypto);

/** A certificate that signs others, by itself. */
export async function makeAuthority(subject: Subject, notBeforeMs: number, notAfterMs: number): Promise<KeyPair> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: nameOf(subject),
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: ecdsa,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pem(certificate.toString("pem")), keyPem: await exportKey(keys.privateKey) };
}

/** A new key and its certificate, signed by `authority`. */
export async function makeCertificate(authority: KeyPair, options: CertificateOptions): Promise<KeyPair> {
  const keys = await newKeys();
  const certificatePem = await sign(authority, keys.publicKey, options);
  return { certificatePem, keyPem: await exportKey(keys.privateKey) };
}

/** Signs the key of a PEM request; what the request says of its subject is not used. Rejects with TypeError when it is no valid request. */
export async function signRequest(
  authority: KeyPair,
  requestPem: string,
  options: CertificateOptions,
): Promise<string> {
  const request = readRequest(requestPem);
  const key = await request.publicKey.export(ecdsa, ["verify"]).catch((cause: unknown) => {
    throw new TypeError("the certificate request's key is not ECDSA P-256", { cause });
  });
  if (!(await request.verify().catch(() => false))) throw new TypeError("the certificate request's signature is wrong");
  return sign(authority, key, options);
}

/** When it ends, ms since the epoch, and the names it is for. */
export function describeCertificate(certificatePem: string): {
  readonly notAfterMs: number;
  readonly notBeforeMs: number;
  readonly hosts: readonly string[];
} {
  const certificate = new X509Certificate(certificatePem);
  const names = certificate.getExtension(SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  return {
    notAfterMs: certificate.notAfter.getTime(),
    notBeforeMs: certificate.notBefore.getTime(),
    hosts: names.map((name) => name.value),
  };
}

async function sign(authority: KeyPair, publicKey: webcrypto.CryptoKey, options: CertificateOptions): Promise<string> {
  const issuer = new X509Certificate(authority.certificatePem);
  const signingKey = await importKey(authority.keyPem);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: nameOf(options.subject),
    issuer: issuer.subject,
    notBefore: new Date(options.notBeforeMs),
    notAfter: new Date(Math.min(options.notAfterMs, issuer.notAfter.getTime())),
    signingAlgorithm: ecdsa,
    publicKey,
    signingKey,
    extensions: await extensionsOf(issuer, publicKey, options),
  });
  return pem(certificate.toString("pem"));
}

async function extensionsOf(
  issuer: X509Certificate,
  publicKey: webcrypto.CryptoKey,
  { usages, hosts }: CertificateOptions,
): Promise<Extension[]> {
  const extended = usages.map((usage) =>
    usage === "server" ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth,
  );
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(extended),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  if (hosts.length > 0) {
    extensions.push(
      new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isAddress(value) ? "ip" : "dns", value }))),
    );
  }
  return extensions;
}

function readRequest(requestPem: string): Pkcs10CertificateRequest {
  try {
    return new Pkcs10CertificateRequest(requestPem);
  } catch (cause) {
    throw new TypeError("not a PEM certificate request", { cause });
  }
}

function nameOf({ commonName, organizations }: Subject): JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }];
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
}

function importKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey("pkcs8", PemConverter.decodeFirst(keyPem), ecdsa, false, ["sign"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return pem(PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), PemConverter.PrivateKeyTag));
}

/** Positive and unpredictable, as RFC 5280 section 4.1.2.2 asks. */
function newSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(serialBytes));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

function isAddress(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) || host.includes(":");
}

function pem(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
