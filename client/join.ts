// How a machine becomes a node: checks that the server is the one of the token, then asks it for a certificate.
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { makeRequest } from "../lib/certificate-request.ts";
import { httpsTransport } from "./transport.ts";

export interface JoinOptions {
  /** "https://10.0.0.1:6443" */
  readonly server: string;
  /** As `naru token` printed it. */
  readonly token: string;
  /** The name that the node wants. */
  readonly node: string;
  readonly signal?: AbortSignal;
}

export interface NodeIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly authorityPem: string;
}

/** Rejects with ApiError when the server refuses, with Error when it is not the server of the token. */
export async function joinCluster({ server, token, node, signal }: JoinOptions): Promise<NodeIdentity> {
  const hash = /^naru1\.([0-9a-f]{64})\.[0-9a-f]+\.\S+$/.exec(token)?.[1];
  if (hash === undefined) throw new Error("this is no join token: it looks like naru1.<hash>.<id>.<secret>");
  const authorityPem = await findAuthority(server, hash, signal);
  using transport = httpsTransport({ server, authorityPem, token, namespace: "default" });
  return await askCertificate(transport, { path: "/naru/v1/join", node, signal });
}

/** A new certificate for a node that has one. */
export async function renewIdentity(
  server: string,
  node: string,
  { certificatePem, keyPem, authorityPem }: NodeIdentity,
  signal?: AbortSignal,
): Promise<NodeIdentity> {
  using transport = httpsTransport({ server, authorityPem, certificatePem, keyPem, namespace: "default" });
  return await askCertificate(transport, { path: "/naru/v1/renew", node, signal });
}

interface Ask {
  readonly path: string;
  readonly node: string;
  readonly signal: AbortSignal | undefined;
}

async function askCertificate(
  transport: ReturnType<typeof httpsTransport>,
  { path, node, signal }: Ask,
): Promise<NodeIdentity> {
  const { requestPem, keyPem } = makeRequest({
    commonName: `system:node:${node}`,
    organizations: ["system:nodes"],
  });
  const body = { node, request: requestPem };
  const answer = await transport.json({ method: "POST", path, body, ...(signal === undefined ? {} : { signal }) });
  const { certificate, authority } = answer as { readonly certificate: string; readonly authority: string };
  return { certificatePem: certificate, keyPem, authorityPem: authority };
}

/** The authority that the server shows, if it is the one whose hash the token carries. Nothing secret is sent before that is known. */
async function findAuthority(server: string, hash: string, signal: AbortSignal | undefined): Promise<string> {
  const { hostname, port } = new URL(server);
  // The chain cannot be verified before the authority is known; it is compared with the token's hash right here.
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 443),
    rejectUnauthorized: false,
  });
  const abort = () => socket.destroy(signal?.reason as Error | undefined);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await once(socket, "secureConnect");
    for (const der of chainOf(socket.getPeerCertificate(true))) {
      if (createHash("sha256").update(der).digest("hex") === hash) return new X509Certificate(der).toString();
    }
    throw new Error(`the server ${server} is not the one that made this token: its authority has another hash`);
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.destroy();
  }
}

const chainMax = 8;

function chainOf(leaf: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let at: DetailedPeerCertificate | undefined = leaf;
  while (at?.raw !== undefined && chain.length < chainMax && !chain.some((der) => at?.raw.equals(der))) {
    chain.push(at.raw);
    at = at.issuerCertificate;
  }
  return chain;
}
