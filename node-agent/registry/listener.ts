// The registry's own port on a node: TLS as on the node's other door, but who has no certificate comes with a token.
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { RegistryHandler } from "./registry.ts";

export const registryPort = 5000;

export interface RegistryListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly identity: { readonly certificatePem: string; readonly keyPem: string; readonly authorityPem: string };
  readonly handle: RegistryHandler;
}

export interface RegistryListener extends AsyncDisposable {
  readonly port: number;
  /** After a renewal. */
  setIdentity(identity: RegistryListenerOptions["identity"]): void;
}

/** Rejects when the port is in use. */
export async function openRegistryListener(options: RegistryListenerOptions): Promise<RegistryListener> {
  const context = ({ certificatePem, keyPem, authorityPem }: RegistryListenerOptions["identity"]) => ({
    ...{ cert: certificatePem, key: keyPem, ca: authorityPem },
  });
  const tls = { ...context(options.identity), requestCert: true, rejectUnauthorized: false } as const;
  const server = createServer({ ...tls, minVersion: "TLSv1.2" }, (request, response) => {
    if (!options.handle(request, response)) response.writeHead(404).end("the registry is at /v2/\n");
  });
  server.headersTimeout = 10_000;
  // A layer takes as long as it takes; who is too slow is sent away (body.ts).
  server.requestTimeout = 0;
  server.maxConnections = 512;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    setIdentity: (identity) => server.setSecureContext(context(identity)),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
