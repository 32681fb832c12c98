// Says to balancers in front of the node, on a port per service, whether the node has endpoints of the service (healthCheckNodePort).
// Source: Kubernetes documentation, "Create an External Load Balancer", preserving the client source IP.
import type { Server, ServerResponse } from "node:http";
import type { Logger } from "../../lib/log.ts";
import { http } from "../../lib/node-http.ts";
import type { ClusterIndex, IndexedService } from "./cluster-index.ts";

/** What is said on one port. */
export interface HealthCheck {
  readonly port: number;
  readonly namespace: string;
  readonly name: string;
  readonly localEndpoints: number;
}

/** One per port: of two services with the same the first. */
export function planHealthChecks(
  services: Iterable<IndexedService>,
  nodeName: string,
): ReadonlyMap<number, HealthCheck> {
  const checks = new Map<number, HealthCheck>();
  for (const { service, slices } of services) {
    const { type, externalTrafficPolicy, healthCheckNodePort: port = 0 } = service.spec ?? {};
    if (type !== "LoadBalancer" || externalTrafficPolicy !== "Local" || port <= 0 || checks.has(port)) continue;
    const local = slices
      .flatMap(({ endpoints = [] }) => endpoints)
      .filter((endpoint) => endpoint.nodeName === nodeName && endpoint.conditions?.ready !== false);
    const { namespace = "default", name = "" } = service.metadata ?? {};
    const localEndpoints = new Set(local.flatMap(({ addresses }) => addresses.slice(0, 1))).size;
    checks.set(port, { port, namespace, name, localEndpoints });
  }
  return checks;
}

export class HealthChecks implements AsyncDisposable {
  readonly #log: Logger;
  readonly #servers = new Map<number, Server>();
  #checks: ReadonlyMap<number, HealthCheck> = new Map();

  constructor(log: Logger) {
    this.#log = log;
  }

  apply(index: ClusterIndex, nodeName: string): void {
    this.#checks = planHealthChecks(index.values(), nodeName);
    for (const [port, server] of this.#servers) if (!this.#checks.has(port)) this.#close(port, server);
    for (const port of this.#checks.keys()) if (!this.#servers.has(port)) this.#listen(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [port, server] of this.#servers) this.#close(port, server);
  }

  // A port that another program holds is tried again with the next change.
  #listen(port: number): void {
    const server = http.createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
      request.resume();
      this.#answer(port, response);
    });
    server.maxConnections = 100;
    server.on("error", (error) => {
      this.#log.warn({ port, error }, "cannot listen for a service's health checks");
      this.#servers.delete(port);
    });
    server.listen(port);
    server.unref();
    this.#servers.set(port, server);
  }

  #answer(port: number, response: ServerResponse): void {
    const check = this.#checks.get(port);
    const { namespace, name, localEndpoints } = check ?? { namespace: "", name: "", localEndpoints: 0 };
    response.writeHead(localEndpoints > 0 ? 200 : 503, {
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
      connection: "close",
    });
    response.end(`${JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy: true })}\n`);
  }

  #close(port: number, server: Server): void {
    this.#servers.delete(port);
    server.close();
    server.closeAllConnections();
  }
}
