// What the node's door answers clients of the cluster: /metrics, /healthz, images for other nodes, the registry.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ImageServer } from "./image-server.ts";
import type { AgentMetrics, AgentPage } from "./metrics.ts";
import { messageOf } from "./pods/start-problem.ts";

export interface NodeDoorOptions {
  /** Made at the first scrape: a node that nobody scrapes does not pay for it. */
  readonly metrics: () => Promise<AgentMetrics>;
  /** Further pages of text, as a kubelet has them, by path. */
  readonly pages: Readonly<Record<string, () => Promise<string>>>;
  /** Images for other nodes, and the registry. */
  readonly images: ImageServer;
}

export function nodeDoor(options: NodeDoorOptions): (request: IncomingMessage, response: ServerResponse) => void {
  let metrics: Promise<AgentMetrics> | undefined;
  const pages = new Map<string, () => Promise<AgentPage>>([
    ["/healthz", async () => ({ text: "ok", contentType: "text/plain" })],
    [
      "/metrics",
      async () => {
        metrics ??= options.metrics();
        return (await metrics).scrape();
      },
    ],
    ...Object.entries(options.pages).map(([path, read]) => {
      const page = async () => ({ text: await read(), contentType: "text/plain; version=0.0.4; charset=utf-8" });
      return [path, page] as const;
    }),
  ]);
  return (request, response) => {
    if (options.images(request, response)) return;
    const page = pages.get(request.url?.split("?")[0] ?? "");
    if (request.method !== "GET") {
      response.writeHead(405).end("only GET\n");
    } else if (page === undefined) {
      response.writeHead(404).end(`there is ${[...pages.keys()].join(", ")}\n`);
    } else {
      page()
        .then(({ text, contentType }) => response.writeHead(200, { "Content-Type": contentType }).end(text))
        .catch((error) => response.writeHead(500).end(`${messageOf(error)}\n`));
    }
  };
}
