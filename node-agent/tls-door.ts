// A door of the node over TLS: one for clients with a certificate of the cluster (metrics, images for other nodes), one for the registry,
// whose clients may come with a token instead.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { endWithConnections } from "../lib/server-connections.ts";

export interface TlsDoorOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly identity: TlsIdentity;
  /** Who has no certificate of the cluster: refused before a request is read, or for `handle` to judge. */
  readonly strangers: "refused" | "admitted";
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
}

interface TlsIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly authorityPem: string;
}

export interface TlsDoor extends AsyncDisposable {
  readonly port: number;
  /** After a renewal. */
  setIdentity(identity: TlsIdentity): void;
}

/** Rejects when the port is in use. */
export async function openTlsDoor({ host, port, identity, strangers, handle }: TlsDoorOptions): Promise<TlsDoor> {
  const rejectUnauthorized = strangers === "refused";
  const server = createServer(
    { ...context(identity), requestCert: true, rejectUnauthorized, minVersion: "TLSv1.2" },
    handle,
  );
  server.headersTimeout = 10_000;
  // A layer takes as long as it takes: who sends too slowly is sent away there (registry/body.ts).
  server.requestTimeout = 0;
  server.maxConnections = 512;
  const end = endWithConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    setIdentity: (next) => server.setSecureContext(context(next)),
    [Symbol.asyncDispose]: end,
  };
}

function context({ certificatePem, keyPem, authorityPem }: TlsIdentity) {
  return { cert: certificatePem, key: keyPem, ca: authorityPem };
}
