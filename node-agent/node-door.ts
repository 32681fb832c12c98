// What the node's door answers clients of the cluster: /metrics, /healthz, images for other nodes, the registry.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ImageServer } from "./image-server.ts";
import type { AgentMetrics } from "./metrics.ts";
import { messageOf } from "./pods/start-problem.ts";

export interface NodeDoorOptions {
  /** Made at the first scrape: a node that nobody scrapes does not pay for it. */
  readonly metrics: () => Promise<AgentMetrics>;
  /** Images for other nodes, and the registry. */
  readonly images: ImageServer;
}

export function nodeDoor(options: NodeDoorOptions): (request: IncomingMessage, response: ServerResponse) => void {
  let metrics: Promise<AgentMetrics> | undefined;
  return (request, response) => {
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
  };
}
