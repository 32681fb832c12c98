// The node's own door over TLS, for clients with a certificate of the cluster: /metrics, /healthz, the registry,
// and /images for other nodes.
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { ImageServer } from "./image-server.ts";
import type { AgentMetrics } from "./metrics.ts";
import { messageOf } from "./pods/start-problem.ts";

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly identity: { readonly certificatePem: string; readonly keyPem: string; readonly authorityPem: string };
  /** Made at the first scrape: a node that nobody scrapes does not pay for it. */
  readonly metrics: () => Promise<AgentMetrics>;
  /** Images for other nodes, and the registry. */
  readonly images: ImageServer;
}

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
  /** After a renewal. */
  setIdentity(identity: MetricsServerOptions["identity"]): void;
}

/** Rejects when the port is in use. */
export async function openMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  let metrics: Promise<AgentMetrics> | undefined;
  const context = ({ certificatePem, keyPem, authorityPem }: MetricsServerOptions["identity"]) => ({
    cert: certificatePem,
    key: keyPem,
    ca: authorityPem,
  });
  const server = createServer(
    { ...context(options.identity), requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" },
    (request, response) => {
      if (options.images(request, response)) return;
      const path = request.url?.split("?")[0];
      if (request.method !== "GET") {
        response.writeHead(405).end("only GET\n");
      } else if (path === "/healthz") {
        response.writeHead(200, { "Content-Type": "text/plain" }).end("ok");
      } else if (path === "/metrics") {
        metrics ??= options.metrics();
        metrics
          .then((each) => each.scrape())
          .then(({ text, contentType }) => response.writeHead(200, { "Content-Type": contentType }).end(text))
          .catch((error) => response.writeHead(500).end(`${messageOf(error)}\n`));
      } else {
        response.writeHead(404).end("there is /metrics and /healthz\n");
      }
    },
  );
  server.headersTimeout = 10_000;
  // Nodes pass on what is pushed: who sends too slowly is sent away there (registry/body.ts).
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
